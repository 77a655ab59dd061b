package pybridge

// #include "shim.h"
import "C"

import (
	"fmt"
	"time"

	"fapws/runtime/exchange"
)

type timeoutPolicy struct {
	// How long the GIL must be unavailable before a handler is suspected of holding the GIL in C code.
	forGIL time.Duration
	// time after which a handler counts as stuck, from the exception, or from the suspicion that the handler holds the GIL
	grace time.Duration
}

var defaultTimeoutPolicy = timeoutPolicy{time.Second, 5 * time.Second}

func (h *Handler) overdue(ticket exchange.Ticket, took time.Duration) {
	h.mu.Lock()
	rec := h.record(ticket)
	// The second condition means that the handler has accepted a WebSocket after the request had timed out, and is no
	// longer overdue.
	if rec == nil || rec.inputs.open != 0 && rec.run.started != 0 {
		h.mu.Unlock()
		return
	}
	t := h.describe(rec)
	h.mu.Unlock()
	took = min(took, t.age())
	if C.core_dequeue_expired(number(t.rec)) != 0 {
		t.run.expired(h)
		t.say("%s timed out after waiting %s for %s; discarded\n", &t, seconds(took), t.run.place())
		return
	}
	go h.interrupt(t, took)
}

// inlineWatchdog contains the job that the event loop was running in inline mode at the last call of Stalled. Only the
// goroutine that calls Stalled uses inlineWatchdog.
type inlineWatchdog struct {
	rec   C.uintptr_t
	jobs  C.ulong
	since time.Time
}

// Stalled implements app.Interpreter for all handlers except callbacks of WebSockets, which watchCallbacks checks.
func (h *Handler) Stalled() (exchange.Ticket, time.Duration) {
	s := &h.held
	rec, jobs := h.app.mode.onLoop()
	if rec == 0 || rec != s.rec || jobs != s.jobs || h.Held() {
		*s = inlineWatchdog{rec: rec, jobs: jobs, since: time.Now()}
		return 0, 0
	}
	for _, t := range h.tasks() {
		if number(t.rec) == rec && (t.rec.run.started == 0 || t.rec.req.websocket == 0) {
			return exchange.Ticket(t.ticket), time.Since(s.since)
		}
	}
	return 0, 0
}

// interrupt is called for a request that has timed out. interrupt logs the stack of the handler, raises an exception in
// the handler, and checks whether the handler ends.
func (h *Handler) interrupt(t task, took time.Duration) {
	var how C.int
	began, policy := time.Now(), h.policy()
	h.reach(&t, took, policy, func() {
		var s C.core_snapshot
		var note string
		if how, s, note = t.run.raise(&t); how != 0 {
			t.stack, t.thread, t.jobs = takeStack(&s), int(s.thread), s.jobs
			note += "; stack:"
		}
		if note != "" {
			t.say("%s timed out after %s in handler %s%s\n%s", &t, seconds(took), t.name, note, t.stack.text())
		}
	}, t.run.giveUp)
	if how == 0 {
		return
	}
	time.Sleep(policy.grace)
	if why := t.run.stuck(h, &t, how, began); why != "" {
		h.stuck(fmt.Sprintf("%s timed out and %s", &t, why))
	}
}

func (h *Handler) policy() timeoutPolicy {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.timeoutPolicy
}

// reach calls f with the GIL, for the overdue request t, and returns after f has returned. If Python is ending, reach
// does not call f. If a handler keeps the GIL, reach logs the stacks of all threads and, after the grace period, calls
// giveUp and h.stuck.
func (h *Handler) reach(t *task, took time.Duration, policy timeoutPolicy, f, giveUp func()) {
	began := time.Now()
	done := h.withGIL(f)
	if done == nil || endsWithin(done, policy.forGIL) {
		return
	}
	// The message is for the server's log and not for the log of one host, because the handlers of all hosts are
	// blocked.
	say("%s timed out after %s in handler %s; %v, so no exception can be raised; all threads:\n%s",
		t, seconds(took), t.name, errNoGIL, dumpStacks())
	if !endsWithin(done, policy.grace) {
		giveUp()
		h.stuck(fmt.Sprintf("%s timed out; a handler has held the GIL for %s", t, seconds(time.Since(began))))
	}
	<-done
}

type gilProbe struct {
	// result of the call of withGIL that tests whether the GIL is available; nil if there is none
	done   <-chan struct{}
	checks int // number of calls of CheckGIL since that call began
}

// gilChecks is the number of checks after which a handler that holds the GIL counts as stuck.
const gilChecks = 10

// CheckGIL finds a handler that holds the GIL in C code, so that no other handler of the process can run. With
// RunConfig.Timeout, CheckGIL makes no checks, because reach finds such a handler. CheckGIL must be called about once a
// second, by one goroutine at a time. CheckGIL counts calls instead of measuring time, because a signal can stop the
// process between two calls.
func (h *Handler) CheckGIL() {
	p := &h.gilProbe
	if p.done != nil && !endsWithin(p.done, 0) {
		if p.checks++; p.checks == gilChecks {
			say("%v, and no other handler can run; all threads:\n%s", errNoGIL, dumpStacks())
			h.stuck(fmt.Sprintf("a handler has held the GIL for %d s", gilChecks))
		}
		return
	}
	*p = gilProbe{}
	if h.config.Timeout == 0 && h.isActive() {
		p.done = h.withGIL(func() { C.asgi_sample_stacks(nil, 0) })
	}
}

func (h *Handler) stuck(why string) {
	say("%s\n", why)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.config.Stuck != nil && !h.asksForEnd {
		h.asksForEnd = true
		go h.config.Stuck(why)
	}
}

const checkEvery = 500 * time.Millisecond

// watchSockets starts the goroutine that interrupts WebSocket callbacks after RunConfig.Timeout, because the event loop
// does not know when callbacks begin. The goroutine ends after the last WebSocket was closed. The caller must hold
// h.mu.
func (h *Handler) watchSockets() {
	if h.config.Timeout > 0 && !h.watching {
		h.watching = true
		go h.watchCallbacks()
	}
}

func (h *Handler) watchCallbacks() {
	found := make([]C.core_snapshot, C.CORE_MAX_THREADS)
	// map from a job to the time at which it was first seen, or the zero time if the job is overdue
	began := map[C.core_snapshot]time.Time{}
	limit := h.config.Timeout
	if h.config.Debug > 0 { // Held is up to one check behind when a handler stops in a debugger
		limit += checkEvery
	}
	for {
		time.Sleep(checkEvery)
		h.mu.Lock()
		if h.sockets == 0 {
			h.watching = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		n := C.core_running_callbacks(&found[0], C.int(len(found)))
		now := map[C.core_snapshot]time.Time{}
		for _, job := range found[:n] {
			since, known := began[job]
			if !known || h.Held() {
				since = time.Now()
			}
			if took := time.Since(since); took >= limit && !since.IsZero() {
				since = time.Time{}
				h.callbackOverdue(&job, took)
			}
			now[job] = since
		}
		began = now
	}
}

func (h *Handler) callbackOverdue(job *C.core_snapshot, took time.Duration) {
	h.mu.Lock()
	if h.record(exchange.Ticket(job.rec.ticket)) != job.rec || job.rec.serial != job.serial {
		h.mu.Unlock()
		return
	}
	t := h.describe(job.rec)
	h.mu.Unlock()
	t.jobs = job.jobs
	go h.interrupt(t, took)
}
