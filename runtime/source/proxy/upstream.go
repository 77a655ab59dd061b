package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"fapws/runtime/backend"
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

	// Proxy.mu guards the following fields.
	active   int       // number of requests without a complete response
	answered time.Time // time when the latest response began
	// time when the upstream may get a request again after a failure; zero if the upstream works
	trial time.Time

	unhealthy bool // the latest health check failed
}

// rest returns how long up gets no requests.
func rest(up *upstream, now time.Time) time.Duration {
	if up.unhealthy {
		return checkEvery
	}
	return max(0, up.trial.Sub(now))
}

const (
	// pause is how long a failed upstream gets no requests, as in nginx (fail_timeout).
	pause = 10 * time.Second
	// maxTries is the number of upstreams to which a request may be sent.
	maxTries = 3
)

// notSent is the error of a request that no upstream received.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// take returns previous, the upstream of the client's cookie or nil, or the upstream with the fewest active requests.
// take excepts upstreams in tried and failed upstreams. Among equal upstreams it chooses at random, because other
// workers choose as well. After the pause of a failed upstream, one request tests it (trial); a request that another
// upstream has failed to answer is never such a test. If take returns nil, wait is the time until the next trial.
// Otherwise the caller must call leave.
func (p *Proxy) take(tried []*upstream, previous *upstream) (best *upstream, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, equal := time.Now(), 0
	for _, up := range p.upstreams {
		switch left := rest(up, now); {
		case slices.Contains(tried, up) || !up.trial.IsZero() && len(tried) > 0:
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case best == nil || up == previous || best != previous && up.active < best.active:
			best, equal = up, 1
		case best != previous && up.active == best.active:
			if equal++; rand.N(equal) == 0 {
				best = up
			}
		}
	}
	if best == nil {
		return nil, wait
	}
	// This request tests the upstream. Further requests wait for the result.
	if !best.trial.IsZero() {
		best.trial = now.Add(pause)
	}
	best.active++
	return best, 0
}

func (p *Proxy) leave(up *upstream) {
	p.mu.Lock()
	up.active--
	p.mu.Unlock()
}

// try sends the request to up. try returns an error if up did not respond, and whether the request may be sent to
// another upstream.
func (p *Proxy) try(up, previous *upstream, w *backend.Response, r *backend.Request) (again bool, err error) {
	defer p.leave(up)
	began := time.Now()
	response, c, err := up.roundTrip(w, r)
	switch {
	case err == nil:
		p.responded(up, began)
		if p.cookie != "" && up != previous {
			p.stick(up, r, response)
		}
		up.forward(w, r, response, c)
		return false, nil
	case r.Context.Err() != nil: // the client has disconnected
		return false, err
	}
	var unsent notSent
	sent := !errors.As(err, &unsent)
	counts, first := p.failed(up, began, sent, err)
	if first {
		up.log(r.Client(), fmt.Sprintf("%v; it gets no requests for %v", err, pause))
	} else {
		up.complain(r.Client(), "%v", err)
	}
	return !sent || idempotent(r) && !r.More && (counts || !isTimeout(err)), err
}

// idempotent reports whether a request that an upstream has received may be sent to another upstream (RFC 9110 §9.2.2).
func idempotent(r *backend.Request) bool {
	return r.Parsed.Safe || r.Method() == http.MethodPut || r.Method() == http.MethodDelete
}

// responded records that up has responded to a request that it received at the time began.
func (p *Proxy) responded(up *upstream, began time.Time) {
	p.mu.Lock()
	up.answered = time.Now()
	// A response to a request that is older than the failure does not show that the upstream works again.
	again := !up.trial.IsZero() && !began.Before(up.trial.Add(-pause))
	if again {
		up.trial = time.Time{}
	}
	p.mu.Unlock()
	if again {
		up.log("", "responds again")
	}
}

// failed reports whether an error counts, so that up gets no requests for a pause, and whether it is the first error
// that counts. A single upstream always gets requests. If the request was sent, its page may be the reason of the
// error, for example because it takes too long. Clients must not be able to disable all upstreams with such a page.
// Therefore an error after sending counts only if another upstream is left, and if up sent no response to other clients
// in the second half of the time that the request took.
func (p *Proxy) failed(up *upstream, began time.Time, sent bool, err error) (counts, first bool) {
	if len(p.upstreams) == 1 || err == errStale {
		return false, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if sent {
		other := func(u *upstream) bool { return u != up && rest(u, now) == 0 }
		if !slices.ContainsFunc(p.upstreams, other) || up.answered.After(began.Add(now.Sub(began)/2)) {
			return false, false
		}
	}
	first = up.trial.IsZero()
	up.trial = now.Add(pause)
	return true, first
}

func (p *Proxy) Idle() (n int) {
	for _, up := range p.upstreams {
		n += up.idle.Len()
	}
	return n
}
