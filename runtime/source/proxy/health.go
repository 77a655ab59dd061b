package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	checkEvery = 10 * time.Second
	checkLimit = 5 * time.Second // maximum duration of a health check
)

// checkHealth checks each upstream until the Proxy is closed, at random intervals, so that workers do not check at the
// same times.
func (p *Proxy) checkHealth() {
	for _, up := range p.upstreams {
		go func() {
			for p.ctx.Err() == nil {
				p.checked(up, check(p.ctx, up))
				select {
				case <-time.After(checkEvery - checkEvery/10 + rand.N(checkEvery/5)):
				case <-p.ctx.Done():
				}
			}
		}()
	}
}

// check returns nil if up responds to a request for Options.Health with a status from 200 to 399.
func check(ctx context.Context, up *upstream) error {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodGet, "http://backend"+up.opt.Health, nil)
	if err != nil {
		return err
	}
	request.Host, request.Close = up.target.host, true
	request.Header.Set("User-Agent", "fapws")
	c, err := up.dial(limited)
	if err != nil {
		return err
	}
	response, err := c.ask(request, nil)
	c.overdue.Stop()
	c.close()
	switch {
	case err != nil && limited.Err() != nil:
		return fmt.Errorf("no response within %v", checkLimit)
	case err != nil:
		return err
	}
	raise(&up.waiting.answered, c.number)
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func (p *Proxy) checked(up *upstream, err error) {
	if errors.Is(p.ctx.Err(), context.Canceled) {
		return
	}
	p.mu.Lock()
	was := up.unhealthy || !up.trial.IsZero()
	changed := up.unhealthy != (err != nil) || err == nil && was
	if up.unhealthy = err != nil; err == nil {
		up.trial = time.Time{}
	}
	p.mu.Unlock()
	switch {
	case changed && err != nil:
		up.log("", fmt.Sprintf("the health check %s failed: %v; it gets no requests until a check succeeds",
			up.opt.Health, err))
	case changed:
		up.log("", "responds again")
	}
}
