package pybridge

// #include "shim.h"
import "C"

import (
	"bytes"
	"fmt"
	"time"

	"fapws/runtime/exchange"
)

// timeoutPolicy has the waits for a handler that has timed out.
type timeoutPolicy struct {
	forGIL time.Duration // until a handler is suspected of holding the GIL
	grace  time.Duration // from the exception, or that suspicion, until the handler counts as stuck
}

var defaultTimeoutPolicy = timeoutPolicy{time.Second, 5 * time.Second}

// Overdue implements app.Handler.
func (h *Handler) Overdue(ticket exchange.Ticket, took time.Duration) {
	h.mu.Lock()
	rec := h.record(ticket)
	if rec == nil || rec.open != 0 && rec.started != 0 { // a WebSocket that was accepted at the last moment
		h.mu.Unlock()
		return
	}
	t := h.describe(rec)
	h.mu.Unlock()
	run := h.modeOf(int(t.rec.mount))
	took = min(took, t.age()) // the loop's clock is coarse
	if C.core_dequeue_expired(number(t.rec)) != 0 {
		run.expired(h)
		t.say("%s timed out after waiting %s for %s; discarded\n", &t, seconds(took), run.place())
		return
	}
	go run.interrupt(h, t, took)
}

// modeOf returns the mode that requests of a mount run in.
func (h *Handler) modeOf(mount int) mode {
	if m := kinds[h.app.mounts[mount].Kind].mode; m != nil {
		return m
	}
	return h.app.mode
}

// inlineWatchdog has the job that the event loop was last seen to run in inline mode. Only the goroutine that calls Stalled
// uses it.
type inlineWatchdog struct {
	rec   C.uintptr_t
	jobs  C.ulong
	since time.Time
	told  bool
}

// Stalled implements app.Handler. It also ends callbacks of WebSockets that take longer than RunConfig.Timeout.
func (h *Handler) Stalled() (exchange.Ticket, time.Duration) {
	s := &h.held
	rec, jobs := h.app.mode.onLoop()
	if rec == 0 || rec != s.rec || jobs != s.jobs {
		*s = inlineWatchdog{rec: rec, jobs: jobs, since: time.Now()}
		return 0, 0
	}
	took := time.Since(s.since)
	for _, t := range h.tasks() {
		if number(t.rec) != rec {
			continue
		}
		if t.rec.started == 0 || t.rec.websocket == 0 {
			return exchange.Ticket(t.ticket), took
		}
		if limit := h.config.Timeout; limit > 0 && took >= limit && !s.told {
			s.told = true
			t.jobs = jobs
			go h.interrupt(t, took)
		}
	}
	return 0, 0
}

// interrupt logs the stack of the handler of a request that has timed out, raises an exception in it, and checks whether it
// ends.
func (h *Handler) interrupt(t task, took time.Duration) {
	var seen stackSnapshot
	runs := false
	policy := h.policy()
	h.reach(&t, took, policy, func() {
		var s C.core_snapshot
		if C.core_raise_timeout(number(t.rec), t.serial, t.jobs, &s) != 0 {
			seen = snapshotOf(&s)
			runs = true
			var stack bytes.Buffer
			writeStack(&stack, seen.stack)
			t.say("%s timed out after %s in handler %s (thread %d); stack:\n%s",
				&t, seconds(took), t.name, seen.thread, stack.Bytes())
		} else {
			t.say("%s timed out after %s in handler %s, which is not running now\n", &t, seconds(took), t.name)
		}
	}, func() {})
	if !runs {
		return
	}
	time.Sleep(policy.grace)
	if C.core_mark_thread_stuck(C.int(seen.thread), number(t.rec), seen.jobs) != 0 {
		h.stuck(fmt.Sprintf("%s timed out and did not end within %s after fapws.Timeout was raised in handler %s", &t, seconds(policy.grace), t.name))
	}
}

func (h *Handler) policy() timeoutPolicy {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.timeoutPolicy
}

// reach calls f with the GIL, for the overdue request t, and returns when f has returned; f is not called when Python ends.
// If a handler keeps the GIL it logs the stacks of all threads, and after the grace period calls giveUp and asks for
// another process.
func (h *Handler) reach(t *task, took time.Duration, policy timeoutPolicy, f, giveUp func()) {
	began := time.Now()
	done := h.withGIL(f)
	if done == nil || endsWithin(done, policy.forGIL) {
		return
	}
	say("%s timed out after %s in handler %s; %v, so no exception can be raised; all threads:\n%s", // in the server's log, because it concerns all hosts
		t, seconds(took), t.name, errNoGIL, dumpStacks())
	if !endsWithin(done, policy.grace) {
		giveUp()
		h.stuck(fmt.Sprintf("%s timed out; a handler has held the GIL for %s", t, seconds(time.Since(began))))
	}
	<-done
}

// stuck logs why the process should be replaced, and asks for that.
func (h *Handler) stuck(why string) {
	say("%s\n", why)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.config.Stuck != nil && !h.asksForEnd {
		h.asksForEnd = true
		go h.config.Stuck(why)
	}
}
