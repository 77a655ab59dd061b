package proxy

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func several(t *testing.T, n int) *Proxy {
	t.Helper()
	o := Options{Log: func(client, line string) { t.Log(client, line) }}
	for i := range n {
		o.Targets = append(o.Targets, fmt.Sprintf("http://127.0.0.1:%d", i+1))
	}
	return checktest.Try(New(o)).Must(t)
}

func TestUpstreamWithTheFewestActiveRequestsGetsTheNext(t *testing.T) {
	p := several(t, 3)
	for range 12 {
		p.take(nil, nil)
	}
	for _, up := range p.upstreams {
		checktest.Equalf(t, up.active, 4, "requests of %s", up.name)
	}
	p.leave(p.upstreams[1])
	up, _ := p.take(nil, nil)
	checktest.Equalf(t, up, p.upstreams[1], "%s gets the next request", up.name)
}

// While an upstream fails to respond to one request for a minute, it may respond to other requests.
func TestUpstreamThatAnswersOtherRequestsIsNotDisabled(t *testing.T) {
	for _, test := range []struct {
		name       string
		sent       bool
		err        error
		answered   time.Duration
		last, want bool
	}{
		{"refused", false, errors.New("connection refused"), 0, false, true},
		{"refused by the last", false, errors.New("connection refused"), 0, true, true},
		{"silent", true, os.ErrDeadlineExceeded, time.Hour, false, true},
		{"silent since it was stopped", true, os.ErrDeadlineExceeded, 50 * time.Second, false, true},
		{"slow for one page", true, os.ErrDeadlineExceeded, time.Second, false, false},
		{"last", true, os.ErrDeadlineExceeded, time.Hour, true, false},
		{"closed a kept connection", true, errStale, time.Hour, false, false},
	} {
		p, now := several(t, 2), time.Now()
		p.upstreams[0].answered = now.Add(-test.answered)
		if test.last {
			p.upstreams[1].trial = now.Add(time.Hour)
		}
		got, _ := p.failed(p.upstreams[0], now.Add(-time.Minute), test.sent, test.err)
		checktest.Truef(t, got == test.want && p.upstreams[0].trial.IsZero() != got, "%s: %v", test.name, got)
	}
	p := several(t, 1)
	counts, _ := p.failed(p.upstreams[0], time.Now(), false, errors.New("connection refused"))
	checktest.Truef(t, !counts, "the only upstream is disabled")
}

func TestOneRequestIsTheTrialOfAFailedUpstream(t *testing.T) {
	p := several(t, 2)
	working, failed := p.upstreams[0], p.upstreams[1]
	before := time.Now()
	p.failed(failed, before, false, errors.New("connection refused"))
	for range 8 {
		up, _ := p.take(nil, nil)
		checktest.Needf(t, up == working, "an upstream that has failed gets a request")
	}
	up, _ := p.take([]*upstream{working}, nil)
	checktest.Equalf(t, up, nil, "an upstream that has failed gets a request of another one")
	p.responded(failed, before)
	checktest.Truef(t, !failed.trial.IsZero(), "the response to an older request ends the pause")
	failed.trial = time.Now()
	up, _ = p.take([]*upstream{working}, nil)
	checktest.Equalf(t, up, nil, "a request that has failed once is the trial")
	up, _ = p.take(nil, nil)
	checktest.Needf(t, up == failed, "there is no trial")
	up, _ = p.take(nil, nil)
	checktest.Equalf(t, up, working, "there are two trials at once")
	p.responded(failed, time.Now())
	up, _ = p.take(nil, nil)
	checktest.Equalf(t, up, failed, "the upstream gets no requests after its response")
}

func TestRequestWaitsForTheNextTrial(t *testing.T) {
	p := several(t, 2)
	p.upstreams[0].trial, p.upstreams[1].trial = time.Now().Add(time.Hour), time.Now().Add(time.Minute)
	for _, tried := range [][]*upstream{nil, p.upstreams} {
		up, wait := p.take(tried, nil)
		checktest.Truef(t, up == nil && wait <= time.Minute && wait > 0, "%v, %v", up, wait)
	}
}
