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
