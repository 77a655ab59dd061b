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

	// The fields below are guarded by Proxy.mu.
	active   int       // number of active requests
	answered time.Time // time when the latest response began
	// time when a request may be sent to the upstream again after a failure; zero if the upstream works
	trial time.Time

	unhealthy bool // the latest health check failed
}

// rest returns how long the upstream up will get no requests, or 0 if up works.
func rest(up *upstream, now time.Time) time.Duration {
	if up.unhealthy {
		return checkEvery
	}
	return max(0, up.trial.Sub(now))
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

func (p *Proxy) leave(up *upstream) {
	p.mu.Lock()
	up.active--
	p.mu.Unlock()
}

// try sends r to up, and forwards the response. If up does not respond, try returns an error, and again is true if r
// may be sent to a different upstream. sent counts the attempts to send r.
func (p *Proxy) try(up, previous *upstream, sent *int, w *backend.Response, r *backend.Request) (again bool,
	err error) {
	defer p.leave(up)
	began := time.Now()
	response, c, err := up.roundTrip(sent, w, r)
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
	arrived := !errors.As(err, &unsent)
	counts, first := false, false
	// An error while the body is forwarded as it arrives may be the fault of the client, for example if it pauses.
	if !arrived || !r.More {
		counts, first = p.failed(up, began, arrived, err)
	}
	if first {
		up.log(r.Client(), fmt.Sprintf("%v; it gets no requests for %v", err, pause))
	} else {
		up.complain(r.Client(), "%v", err)
	}
	return !arrived || idempotent(r) && !r.More && (counts || !isTimeout(err)), err
}

// idempotent reports whether a request that an upstream has received may be sent again to a different upstream (RFC
// 9110 §9.2.2).
func idempotent(r *backend.Request) bool {
	return r.Parsed.Safe || r.Method() == http.MethodPut || r.Method() == http.MethodDelete
}

// responded records that up has responded to a request that was sent at the time began.
func (p *Proxy) responded(up *upstream, began time.Time) {
	p.mu.Lock()
	up.answered = time.Now()
	// If the request was sent before the failure, its response does not show that the upstream works again.
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
// that counts. Errors of the only upstream never count. An error after the request was sent may be the fault of the
// page, for example if it takes too long, and clients must not disable all upstreams with this page. The error
// therefore counts only if another upstream works, and if up has not responded to any request in the second half of the
// time that this request took.
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
