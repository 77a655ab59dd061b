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
	name    string // as in Options.Targets
	target  target
	idle    backend.Idle[*connection]
	waiting waiting
	lines   logfile.Seldom

	// The fields below are guarded by Proxy.mu.
	active   int       // requests without a complete response
	answered time.Time // when a response began last
	trial    time.Time // after a failure, when the upstream may get a request again; zero if it works
}

const (
	// pause is the time that a failed upstream gets no requests, as in nginx (fail_timeout).
	pause = 10 * time.Second
	// maxTries is the number of upstreams that may get a request.
	maxTries = 3
)

// notSent is the error of a request that no upstream received.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// take returns the upstream with the fewest active requests, except the upstreams in tried and the upstreams that
// have failed. Of equal upstreams it chooses one at random, because other workers choose as well. A request that an
// upstream has failed to answer is never the trial of another upstream. If take returns nil, wait is the time until
// the next trial. Otherwise the caller must call leave.
func (p *Proxy) take(tried []*upstream) (best *upstream, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, equal := time.Now(), 0
	for _, up := range p.upstreams {
		switch left := up.trial.Sub(now); {
		case slices.Contains(tried, up) || !up.trial.IsZero() && len(tried) > 0:
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case best == nil || up.active < best.active:
			best, equal = up, 1
		case up.active == best.active:
			if equal++; rand.N(equal) == 0 {
				best = up
			}
		}
	}
	if best == nil {
		return nil, wait
	}
	if !best.trial.IsZero() { // this request is the trial; further requests wait for its result
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

// try returns an error if up did not respond, and whether another upstream may get the request.
func (p *Proxy) try(up *upstream, w *backend.Response, r *backend.Request) (again bool, err error) {
	defer p.leave(up)
	began := time.Now()
	response, c, err := up.roundTrip(w, r)
	switch {
	case err == nil:
		p.responded(up, began)
		up.forward(w, r, response, c)
		return false, nil
	case r.Context.Err() != nil: // the client disconnected
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
	return !sent || idempotent(r) && (counts || !isTimeout(err)), err
}

// idempotent reports whether an upstream may get a request that another upstream has received (RFC 9110 §9.2.2).
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

// failed reports whether an error counts, so that up gets no requests for a pause, and whether it is the first such
// error. An only upstream always gets requests. If the request was sent, its target may be the reason of the error,
// such as a page that takes too long. Clients must not be able to disable all upstreams with such a page. Therefore
// the error then counts only if another upstream is left, and if up sent no response to other clients in the second
// half of the time that the request took.
func (p *Proxy) failed(up *upstream, began time.Time, sent bool, err error) (counts, first bool) {
	if len(p.upstreams) == 1 || err == errStale {
		return false, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if sent {
		other := func(u *upstream) bool { return u != up && !u.trial.After(now) }
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
