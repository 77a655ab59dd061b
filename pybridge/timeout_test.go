package pybridge

import (
	"io"
	"strings"
	"testing"
	"time"
)

// timesUp does what the loop does, or in inline mode what watches over it: the loop waits for the handler then.
func timesUp(r *response) {
	if loop.inline() {
		t, took := loop.h.Stalled()
		for ; took == 0; t, took = loop.h.Stalled() {
		}
		loop.h.Cancel(t, took)
		return
	}
	loop.do(func() {
		loop.h.Cancel(r.ticket, time.Second)
	})
}

// hang sends a request, waits until its handler runs, and lets its time be up.
func hang(t *testing.T, target, seen string) *response {
	t.Helper()
	sent := loop.begin(t, target)
	shows(t, seen)
	if loop.inline() {
		timesUp(nil)
		return <-sent
	}
	r := <-sent
	timesUp(r)
	return r
}

// An overdue handler is shown, and ends by an exception that it may catch.
func TestOverdue(t *testing.T) {
	for _, c := range []struct {
		target string
		status int
		body   string
		failed bool
	}{
		{"/spins", 504, "<h1>Gateway Timeout</h1>", false},
		{"/spins_and_catches", 200, "caught", false},
		{"/spins_later", 200, "first", true},
	} {
		t.Run(c.target[1:], func(t *testing.T) {
			var r *response
			said := captured(t, func() {
				r = hang(t, c.target, "handler "+c.target[1:]+", running on thread .*\n.*in "+c.target[1:]+"\n +(while|pass)")
				<-r.done
				for range 20 { // the exception is not for these
					if got := loop.get(t, "/text").body.String(); got != "h\u00e9llo" {
						t.Errorf("got %q afterwards", got)
					}
				}
				loop.h.settled()
			})
			if !strings.Contains(r.body.String(), c.body) || r.head.Status != c.status || r.failed != c.failed {
				t.Errorf("status %d, failed %v, body %.100q", r.head.Status, r.failed, &r.body)
			}
			if want := " error GET " + c.target + " HTTP/1.1 from 192.0.2.1 port 4711 timed out after "; !strings.Contains(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
			if !strings.Contains(said, "/testdata/app.py\", line ") || strings.Contains(said, "Traceback") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// settled returns when all timeouts have been reported.
func (h *Handler) settled() { <-h.withGIL(func() {}) }

// impatient sets short timeouts, and returns the arguments of Stuck.
func impatient(t *testing.T, forGIL time.Duration) chan string {
	stuck := make(chan string, 16)
	set := func(p timeoutPolicy, f func(string)) {
		loop.h.mu.Lock()
		defer loop.h.mu.Unlock()
		loop.h.timeoutPolicy, loop.h.config.Stuck, loop.h.asksForEnd = p, f, false
	}
	set(timeoutPolicy{forGIL, 10 * time.Millisecond}, func(why string) { stuck <- why })
	t.Cleanup(func() { set(defaultTimeoutPolicy, nil) })
	return stuck
}

// Inline, an exception also ends what waits in C, for a lock, a descriptor or a time.
func TestOverdueInC(t *testing.T) {
	if !loop.inline() {
		return // a signal ends only what Python's main thread waits for
	}
	for _, name := range []string{"waits_lock", "waits_read", "waits_sleep"} {
		t.Run(name, func(t *testing.T) {
			said := captured(t, func() {
				for range 3 { // the signal is used again
					r := hang(t, "/"+name, "handler "+name+", running")
					<-r.done
					if r.head.Status != 504 {
						t.Errorf("status %d", r.head.Status)
					}
					if got := loop.get(t, "/text").body.String(); got != "h\u00e9llo" {
						t.Errorf("got %q afterwards", got)
					}
				}
				loop.h.settled()
			})
			if strings.Contains(said, "Traceback") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// A handler that keeps the GIL cannot be interrupted, but others can.
func TestStuckWithGIL(t *testing.T) {
	stuck := impatient(t, 10*time.Millisecond)
	g := newGate(t)
	var r *response
	said := captured(t, func() {
		sent := loop.begin(t, strings.Replace(g.target(), "blocked", "keeps_gil", 1))
		for loop.h.Stack(io.Discard, 10*time.Millisecond) == nil { // until it has the GIL
		}
		if !loop.inline() {
			r = <-sent
		}
		timesUp(r)
		if why := <-stuck; !strings.Contains(why, "GET /keeps_gil") || !strings.Contains(why, "held the GIL") {
			t.Errorf("stuck: %q", why)
		}
		g.open(1)
		if loop.inline() {
			r = <-sent
		}
		<-r.done
		loop.h.settled()
	})
	if want := "holds the GIL in C code, so no exception can be raised; all threads:\n"; !strings.Contains(said, want) {
		t.Errorf("said %q", said)
	}
}

// A thread that does not return is written off, and others take its place.
func TestStuck(t *testing.T) {
	stuck := impatient(t, generous)
	g := newGate(t)
	captured(t, func() {
		if loop.inline() {
			sent := loop.begin(t, strings.Replace(g.target(), "blocked", "stubborn", 1))
			shows(t, "(?s)handler stubborn, running.*in blocked") // before, the exception would end it
			timesUp(nil)
			<-stuck
			g.open(1)
			if r := <-sent; r.body.String() != "released" {
				t.Errorf("body %q", r.body.String())
			}
			return
		}
		const threads = 4
		var all []*response
		for range threads {
			all = append(all, <-loop.begin(t, g.target()))
		}
		shows(t, "(?s)(in blocked.*){4}")
		waits := <-loop.begin(t, "/text")
		shows(t, "handler text, queued")
		timesUp(waits)
		<-waits.done
		if waits.head.Status != 0 || !waits.failed {
			t.Errorf("a request that waited has status %d", waits.head.Status)
		}
		for _, r := range all {
			timesUp(r)
		}
		if why := <-stuck; !strings.Contains(why, "handler blocked") {
			t.Errorf("stuck: %q", why)
		}
		if r := loop.get(t, "/text"); r.head.Status != 200 {
			t.Errorf("status %d beside threads that hang", r.head.Status)
		}
		g.open(threads)
		for _, r := range all {
			<-r.done
		}
		for range 20 {
			loop.get(t, "/text")
		}
		if n := len(stuck); n != 0 {
			t.Errorf("%d more times stuck", n)
		}
	})
}
