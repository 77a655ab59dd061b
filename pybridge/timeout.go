package pybridge

// #include "shim.h"
import "C"

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// watchdog interrupts handlers that have timed out. If a handler does not end, watchdog asks for the replacement of the
// process (RunConfig.Stuck).
type watchdog struct {
	requests *activeRequests
	config   *RunConfig

	// The record and the job that the event loop was running in inline mode at the last call of Stalled, and the time at
	// which Stalled first found the job. Only the goroutine that calls Stalled uses these three fields.
	onLoop     C.uintptr_t
	onLoopJobs C.ulong
	since      time.Time

	// result of the call of withGIL that tests whether the GIL is available, or nil
	gilTest <-chan struct{}
	checks  int // number of calls of CheckGIL since that call began

	checksAsync   atomic.Bool
	looksAtStacks atomic.Bool
	atConsole     atomic.Bool // whether a thread was in a debugger at the last check (core_is_at_console)

	timeoutPolicy      // guarded by requests.mu
	watching      bool // whether the goroutine watchCallbacks runs; guarded by requests.mu
	asksForEnd    bool // whether RunConfig.Stuck was called; guarded by requests.mu
	hung          bool // whether RunConfig.Stuck was called with hung; guarded by requests.mu
}

func (w *watchdog) overdue(ticket exchange.Ticket, took time.Duration) {
	// The condition means that the handler has accepted a WebSocket after the request had timed out, and is no longer
	// overdue.
	t, ok := w.requests.taskOf(ticket, func(rec *C.core_record) bool {
		return rec.inputs.open == 0 || rec.run.started == 0
	})
	if !ok {
		return
	}
	took = min(took, t.age())
	if C.core_dequeue_expired(number(t.rec)) != 0 {
		t.run.expired(w)
		t.say("%s timed out after waiting %s for %s; discarded\n", &t, seconds(took), t.run.place())
		return
	}
	go w.interrupt(t, took)
}

// interrupt is called for a request that has timed out. interrupt logs the stack of the handler, raises an exception in
// the handler, and checks whether the handler ends.
func (w *watchdog) interrupt(t task, took time.Duration) {
	var raised C.int
	began, policy := time.Now(), w.policy()
	w.reach(&t, took, policy, func() {
		var s C.core_snapshot
		var note string
		if raised, s, note = t.run.raise(&t); raised != 0 {
			t.stack, t.thread, t.jobs = takeStack(&s), int(s.thread), s.jobs
			note += "; stack:"
		}
		if note != "" {
			t.say("%s timed out after %s in handler %s%s\n%s", &t, seconds(took), t.name, note, t.stack.text())
		}
	}, t.run.giveUp)
	if raised == 0 {
		return
	}
	time.Sleep(policy.grace)
	if why, hung := t.run.stuck(w, &t, raised, began); why != "" {
		w.stuck(fmt.Sprintf("%s timed out and %s", &t, why), hung)
	}
}

func (w *watchdog) policy() timeoutPolicy {
	w.requests.mu.Lock()
	defer w.requests.mu.Unlock()
	return w.timeoutPolicy
}

// reach calls f with the GIL, for the overdue request t, and returns after f has returned. If Python is ending, reach
// does not call f. If a handler keeps the GIL, reach logs the stacks of all threads and, after the grace period, calls
// giveUp and w.stuck.
func (w *watchdog) reach(t *task, took time.Duration, policy timeoutPolicy, f, giveUp func()) {
	began := time.Now()
	done := w.requests.withGIL(f)
	if done == nil || endsWithin(done, policy.forGIL) {
		return
	}
	// The message is for the server's log and not for the log of one host, because the handlers of all hosts are
	// blocked.
	say("%s timed out after %s in handler %s; %v, so no exception can be raised; all threads:\n%s",
		t, seconds(took), t.name, errNoGIL, dumpStacks())
	if !endsWithin(done, policy.grace) {
		giveUp()
		w.stuck(fmt.Sprintf("%s timed out; a handler has held the GIL for %s", t, seconds(time.Since(began))), true)
		defer w.freed()
	}
	<-done
}

// freed must be called when a handler has released the GIL after all, so that the next such handler is reported, too.
func (w *watchdog) freed() {
	w.requests.mu.Lock()
	defer w.requests.mu.Unlock()
	w.hung = false
}

func (w *watchdog) stuck(reason string, hung bool) {
	say("%s\n", reason)
	w.requests.mu.Lock()
	defer w.requests.mu.Unlock()
	if w.config.Stuck != nil && (!w.asksForEnd || hung && !w.hung) {
		w.asksForEnd, w.hung = true, hung
		go w.config.Stuck(reason, hung)
	}
}

// Stalled implements app.Interpreter for all handlers except callbacks of WebSockets, which watchCallbacks checks.
func (w *watchdog) Stalled() (exchange.Ticket, time.Duration) {
	rec, jobs := w.requests.app.mode.onLoop()
	if rec == 0 || rec != w.onLoop || jobs != w.onLoopJobs || w.Held() {
		w.onLoop, w.onLoopJobs, w.since = rec, jobs, time.Now()
		return 0, 0
	}
	for _, t := range w.requests.tasks() {
		if number(t.rec) == rec && (t.rec.run.started == 0 || t.rec.req.websocket == 0) {
			return exchange.Ticket(t.ticket), time.Since(w.since)
		}
	}
	return 0, 0
}

// Explain implements app.Interpreter.
func (w *watchdog) Explain(ticket exchange.Ticket, limit time.Duration) (text, details string) {
	list, ok := w.requests.sample(time.Second)
	i := slices.IndexFunc(list, func(t task) bool { return t.ticket == int(ticket) })
	if i < 0 {
		return "", ""
	}
	t := &list[i]
	if t.where == C.CORE_QUEUED {
		return fmt.Sprintf("The request has waited for %s for more than %v (--timeout), so handler %s has not begun.",
			t.run.place(), limit, t.name), ""
	}
	text = fmt.Sprintf("Handler %s has not answered within %v (--timeout).", t.name, limit)
	switch {
	case !ok:
		return text + fmt.Sprintf(" It continues to run: %v, so no exception can be raised.", errNoGIL), dumpStacks()
	case t.where == C.CORE_AWAITING:
		text += " It is canceled."
	case t.where == C.CORE_RUNNING:
		text += " It continues to run until the line below has been executed, and then gets fapws.Timeout."
	}
	details = t.stack.excerpt()
	if len(t.stack) > 1 || details == "" {
		details = strings.TrimLeft(details+"\nStack, innermost call last:\n"+t.stack.text(), "\n")
	}
	if len(t.stack) == 0 {
		details = ""
	}
	return text, details
}

// Held implements app.Interpreter. With --debug, Held reports whether a thread has stopped in a debugger such as pdb.
func (w *watchdog) Held() bool {
	if w.config.Debug == 0 {
		return false
	}
	if w.looksAtStacks.CompareAndSwap(false, true) {
		w.requests.withGIL(func() {
			w.atConsole.Store(C.core_is_at_console() != 0)
			w.looksAtStacks.Store(false)
		})
	}
	return w.atConsole.Load()
}

const checkEvery = 500 * time.Millisecond

// watchSockets starts the goroutine that interrupts WebSocket callbacks after RunConfig.Timeout, because the event loop
// does not know when callbacks begin. The goroutine ends after the last WebSocket was closed. The caller must hold
// requests.mu.
func (w *watchdog) watchSockets() {
	if w.config.Timeout > 0 && !w.watching {
		w.watching = true
		go w.watchCallbacks()
	}
}

func (w *watchdog) watchCallbacks() {
	found := make([]C.core_snapshot, C.CORE_MAX_THREADS)
	// map from a job to the time at which it was first seen, or the zero time if the job is overdue
	began := map[C.core_snapshot]time.Time{}
	limit := w.config.Timeout
	if w.config.Debug > 0 { // Held is up to one check behind when a handler stops in a debugger
		limit += checkEvery
	}
	for {
		time.Sleep(checkEvery)
		if !w.stillWatches() {
			return
		}
		n := C.core_running_callbacks(&found[0], C.int(len(found)))
		now := map[C.core_snapshot]time.Time{}
		for _, job := range found[:n] {
			since, known := began[job]
			if !known || w.Held() {
				since = time.Now()
			}
			if took := time.Since(since); took >= limit && !since.IsZero() {
				since = time.Time{}
				w.callbackOverdue(&job, took)
			}
			now[job] = since
		}
		began = now
	}
}

// stillWatches reports whether there are WebSockets. If not, watching is false afterwards.
func (w *watchdog) stillWatches() bool {
	w.requests.mu.Lock()
	defer w.requests.mu.Unlock()
	w.watching = w.requests.sockets > 0
	return w.watching
}

func (w *watchdog) callbackOverdue(job *C.core_snapshot, took time.Duration) {
	t, ok := w.requests.taskOf(exchange.Ticket(job.rec.ticket), func(rec *C.core_record) bool {
		return rec == job.rec && rec.serial == job.serial
	})
	if ok {
		t.jobs = job.jobs
		go w.interrupt(t, took)
	}
}

// checkAsync is called after a request has waited too long for the asyncio thread, and checks whether the thread makes
// progress. Code that belongs to no request, such as a task of the application, can block the thread.
func (w *watchdog) checkAsync() {
	if !w.checksAsync.CompareAndSwap(false, true) {
		return
	}
	defer w.checksAsync.Store(false)
	p := w.policy()
	at, began := C.asgi_progress(), time.Now()
	time.Sleep(p.grace)
	if C.asgi_is_stalled(at) == 0 {
		return
	}
	if done := w.logAsync(began); done != nil && !endsWithin(done, p.forGIL) {
		say("the asyncio thread has been blocked for %s; %v; all threads:\n%s", seconds(time.Since(began)), errNoGIL,
			dumpStacks())
	}
	C.asgi_give_up()
	w.stuck("requests wait for the asyncio thread, which is stuck", true)
}

func (w *watchdog) logAsync(began time.Time) <-chan struct{} {
	return w.requests.withGIL(func() {
		var s C.core_snapshot
		C.asgi_take_snapshot(&s)
		say("the asyncio thread has been blocked for %s; stack:\n%s", seconds(time.Since(began)), takeStack(&s).text())
	})
}

// gilChecks is the number of checks after which a handler that holds the GIL counts as stuck.
const gilChecks = 10

// CheckGIL finds a handler that holds the GIL in C code, so that no other handler of the process can run. With
// RunConfig.Timeout, CheckGIL makes no checks, because reach finds such a handler. CheckGIL must be called about once a
// second, by one goroutine at a time. CheckGIL counts calls instead of measuring time, because a signal can stop the
// process between two calls.
func (w *watchdog) CheckGIL() {
	if w.gilTest != nil && !endsWithin(w.gilTest, 0) {
		if w.checks++; w.checks == gilChecks {
			say("%v, and no other handler can run; all threads:\n%s", errNoGIL, dumpStacks())
			w.stuck(fmt.Sprintf("a handler has held the GIL for %d s", gilChecks), true)
		}
		return
	}
	if w.checks >= gilChecks {
		w.freed()
	}
	w.gilTest, w.checks = nil, 0
	if w.config.Timeout == 0 && w.requests.isActive() {
		w.gilTest = w.requests.withGIL(func() { C.asgi_sample_stacks(nil, 0) })
	}
}
