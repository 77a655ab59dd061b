package proxy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

type upstream struct {
	opt     *Options
	name    string // an element of Options.Targets
	target  target
	idle    backend.Idle[*connection]
	cookie  string // value of the cookie Proxy.cookie for this upstream
	waiting waiting
	lines   logfile.Seldom

	// The fields below are guarded by Proxy.mu.
	active   int       // number of active requests
	answered time.Time // time when the latest response began
	// time when a request may be sent to the upstream again after a failure; zero if the upstream works
	trial time.Time

	unhealthy bool // the latest health check failed
}

// rest returns how long the upstream peer will get no requests, or 0 if it works.
func rest(peer *upstream, now time.Time) time.Duration {
	if peer.unhealthy {
		return checkEvery
	}
	return max(0, peer.trial.Sub(now))
}

const (
	// pause is how long no requests are sent to a failed upstream, as in nginx (fail_timeout).
	pause = 10 * time.Second
	// maxTries limits the number of upstreams to which a request is sent.
	maxTries = 3
)

// notSent is the error if no connection could be opened, so that the upstream got nothing of the request.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// take chooses a working upstream that is not in tried, unless tried has maxTries elements. It prefers previous, which
// the client's cookie names, and then the upstream with the fewest active requests, at random among equals, because
// other workers choose at the same time. After its pause, a failed upstream gets one request as a trial, but never a
// request that another upstream has already got. The caller must call leave. If there is no upstream for the request,
// best is nil, and wait is the time until the next trial, or 0 if an upstream works.
func (p *Proxy) take(tried []*upstream, previous *upstream) (best *upstream, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, equal, works := time.Now(), 0, false
	for _, up := range p.upstreams {
		switch left := rest(up, now); {
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case slices.Contains(tried, up), len(tried) == maxTries, len(tried) > 0 && !up.trial.IsZero():
			works = true
		case best == nil || up == previous || best != previous && up.active < best.active:
			best, equal = up, 1
		case best != previous && up.active == best.active:
			if equal++; rand.N(equal) == 0 {
				best = up
			}
		}
	}
	switch {
	case best == nil && works:
		return nil, 0
	case best == nil:
		return nil, wait
	}
	// This request is a trial. Until its result is known, the upstream gets no other requests.
	if !best.trial.IsZero() {
		best.trial = now.Add(pause)
	}
	best.active++
	return best, 0
}

func (p *Proxy) leave(peer *upstream) {
	p.mu.Lock()
	peer.active--
	p.mu.Unlock()
}

// try sends r to peer, and forwards the response. If peer does not respond, try returns an error, and retry is true if
// r may be sent to a different upstream. sent counts the attempts to send r.
func (p *Proxy) try(peer, previous *upstream, sent *int, w *backend.Response, r *backend.Request) (retry bool,
	err error) {
	defer p.leave(peer)
	began := time.Now()
	response, c, err := peer.roundTrip(sent, w, r)
	switch {
	case err == nil:
		p.responded(peer, began)
		if p.cookie != "" && peer != previous {
			p.stick(peer, r, response)
		}
		peer.forward(w, r, response, c)
		return false, nil
	case r.Context.Err() != nil: // the client has disconnected
		return false, err
	}
	_, unsent := errors.AsType[notSent](err)
	arrived := !unsent
	counts, first := false, false
	// An error while the body is forwarded as it arrives may be the fault of the client, for example if it pauses.
	if !arrived || !r.More {
		counts, first = p.failed(peer, began, arrived, err)
	}
	if first {
		peer.log(r.Client(), fmt.Sprintf("%v; it gets no requests for %v", err, pause))
	} else {
		peer.complain(r.Client(), "%v", err)
	}
	return !arrived || idempotent(r) && !r.More && (counts || !isTimeout(err)), err
}

// idempotent reports whether a request that an upstream has received may be sent again to a different upstream (RFC
// 9110 §9.2.2).
func idempotent(r *backend.Request) bool {
	return r.Parsed.Safe || r.Method() == http.MethodPut || r.Method() == http.MethodDelete
}

// responded records that peer has responded to a request that was sent at the time began.
func (p *Proxy) responded(peer *upstream, began time.Time) {
	p.mu.Lock()
	peer.answered = time.Now()
	// If the request was sent before the failure, its response does not show that the upstream works again.
	again := !peer.trial.IsZero() && !began.Before(peer.trial.Add(-pause))
	if again {
		peer.trial = time.Time{}
	}
	p.mu.Unlock()
	if again {
		peer.log("", "responds again")
	}
}

// failed reports whether an error counts, so that peer gets no requests for a pause, and whether it is the first error
// that counts. Errors of the only upstream never count. An error after the request was sent may be the fault of the
// page, for example if it takes too long, and clients must not disable all upstreams with this page. The error
// therefore counts only if another upstream works, and if peer has not responded to any request in the second half of
// the time that this request took.
func (p *Proxy) failed(peer *upstream, began time.Time, sent bool, err error) (counts, first bool) {
	if len(p.upstreams) == 1 || err == errStale {
		return false, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if sent {
		other := func(u *upstream) bool { return u != peer && rest(u, now) == 0 }
		if !slices.ContainsFunc(p.upstreams, other) || peer.answered.After(began.Add(now.Sub(began)/2)) {
			return false, false
		}
	}
	first = peer.trial.IsZero()
	peer.trial = now.Add(pause)
	return true, first
}

func (p *Proxy) Idle() (n int) {
	for _, up := range p.upstreams {
		n += up.idle.Len()
	}
	return n
}

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

// ParseHealth parses a value of Options.Health: "/path", or "http://host/path" with the host of the request. The error
// has one line.
func ParseHealth(text string) (host, path string, err error) {
	if path = text; !strings.HasPrefix(text, "/") {
		rest, ok := strings.CutPrefix(text, "http://")
		at := strings.IndexByte(rest, '/')
		if !ok || at < 0 || !http1.ValidHost([]byte(rest[:at])) {
			return "", "", fmt.Errorf("%q is not a path, such as \"/healthz\", and not \"http://host/path\"", text)
		}
		host, path = rest[:at], rest[at:]
	}
	if strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) {
		return "", "", fmt.Errorf("%q is not a path, such as \"/healthz\"", text)
	}
	return host, path, nil
}

// check returns nil if peer responds to a request for Options.Health with a status from 200 to 399.
func check(ctx context.Context, peer *upstream) error {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	host, path, err := ParseHealth(peer.opt.Health)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(limited, http.MethodGet, "http://backend"+path, nil)
	if err != nil {
		return err
	}
	request.Host, request.Close = cmp.Or(host, peer.opt.HealthHost, peer.target.host), true
	request.Header.Set("User-Agent", "fapws")
	c, err := peer.dial(limited)
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
	raise(&peer.waiting.answered, c.number)
	switch status := response.StatusCode; {
	case status >= 400 && status <= 499: // an application may accept its own hosts only
		return fmt.Errorf("status %d to Host: %s (proxy-health = \"http://HOST%s\" sends another Host)", status,
			request.Host, path)
	case status < 200 || status > 399:
		return fmt.Errorf("status %d", status)
	}
	return nil
}

func (p *Proxy) checked(peer *upstream, err error) {
	if errors.Is(p.ctx.Err(), context.Canceled) {
		return
	}
	p.mu.Lock()
	was := peer.unhealthy || !peer.trial.IsZero()
	changed := peer.unhealthy != (err != nil) || err == nil && was
	if peer.unhealthy = err != nil; err == nil {
		peer.trial = time.Time{}
	}
	p.mu.Unlock()
	switch {
	case changed && err != nil:
		peer.log("", fmt.Sprintf("the health check %s failed: %v; it gets no requests until a check succeeds",
			peer.opt.Health, err))
	case changed:
		peer.log("", "responds again")
	}
}

// nameUpstreams sets the cookie name for Options.Sticky, and the cookie value for each upstream. The cookie name
// depends on the list of targets: all routes of a host share the cookie path "/", so two routes must not use the same
// cookie name.
func (p *Proxy) nameUpstreams() {
	key := machineKey()
	p.cookie = http1.UpstreamCookie + keyed(key, strings.Join(p.opt.Targets, " "))[:8]
	for _, up := range p.upstreams {
		up.cookie = keyed(key, up.name)
	}
}

// machineKey returns a key that clients do not know, and that is the same for all processes on this machine, even after
// a restart. The key must be used only for keyed hashes (machine-id(5)).
func machineKey() []byte {
	for _, name := range []string{"/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
		if id, err := os.ReadFile(name); err == nil && len(bytes.TrimSpace(id)) > 0 {
			return id
		}
	}
	return nil
}

func keyed(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// previous returns the upstream that the client's cookie names, or nil.
func (p *Proxy) previous(r *backend.Request) *upstream {
	if p.cookie == "" {
		return nil
	}
	request := http.Request{Header: http.Header{}}
	for line := range http1.Values(r.Head, r.Parsed.Fields, "cookie") {
		request.Header.Add("Cookie", string(line))
	}
	for _, c := range request.CookiesNamed(p.cookie) {
		for _, up := range p.upstreams {
			if c.Value == up.cookie {
				return up
			}
		}
	}
	return nil
}

// stick sets, in a response, the cookie that names the client's upstream.
func (p *Proxy) stick(peer *upstream, r *backend.Request, response *http.Response) {
	c := http.Cookie{Name: p.cookie, Value: peer.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.Peer.HTTPS}
	response.Header.Add("Set-Cookie", c.String())
}
