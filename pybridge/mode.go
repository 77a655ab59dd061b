package pybridge

// #include "shim.h"
import "C"

import (
	"fmt"
	"time"

	"fapws/runtime/eventloop"
)

// mode is a way to run the requests of a mount: on threads, inline, or on the asyncio thread. The methods of mode are
// safe for concurrent use.
type mode interface {
	place() string
	expired(w *watchdog)
	// raise takes the GIL, and raises an exception in the handler of t, which has timed out. The result raised is 0 if
	// the handler does not run; otherwise s contains its stack. The log line about t ends with note. If note is "", no
	// line is written.
	raise(t *task) (raised C.int, s C.core_snapshot, note string)
	// stuck is called after the grace period, with the time at which this period began, and with the result raised of
	// raise. stuck returns "" if t has ended. Otherwise stuck returns why t counts as stuck, and whether no other handler
	// of this mode can run.
	stuck(w *watchdog, t *task, raised C.int, began time.Time) (reason string, hung bool)
	// giveUp is called if a handler never releases the GIL, so that the process must be replaced.
	giveUp()
}

type poolMode interface {
	mode
	// start creates the pool of threads; in inline mode, attach creates the pool instead.
	start(h *Handler) error
	// attach is called on the event loop before its first request.
	attach(h *Handler, w *eventloop.Waker)
	serve(a *App) int
	stop(a *App, ms int) int
	// finish is called by App.Close, on the thread of Load, before Python ends.
	finish()
	// onLoop returns the record that the event loop runs in inline mode, and the number of its current job. Both are 0
	// if the event loop runs none. onLoop can be called on any goroutine.
	onLoop() (rec C.uintptr_t, jobs C.ulong)
}

type threaded struct{}

func (threaded) place() string                     { return "a thread" }
func (threaded) expired(*watchdog)                 {}
func (threaded) giveUp()                           {}
func (threaded) start(h *Handler) error            { return h.startPool() }
func (threaded) attach(*Handler, *eventloop.Waker) {}
func (threaded) serve(*App) int                    { return int(C.core_serve()) }
func (threaded) stop(_ *App, ms int) int           { return int(C.core_pool_stop(1000, C.int(ms))) }
func (threaded) finish()                           {}
func (threaded) onLoop() (C.uintptr_t, C.ulong)    { return 0, 0 }

func (threaded) raise(t *task) (raised C.int, s C.core_snapshot, note string) {
	if raised = C.core_raise_timeout(number(t.rec), t.serial, t.jobs, &s); raised == 0 {
		return raised, s, ", which is not running now"
	}
	// Another thread takes the place of the overdue thread at once.
	C.core_mark_thread_stuck(s.thread, number(t.rec), s.jobs)
	return raised, s, fmt.Sprintf(" (thread %d)", s.thread)
}

func (threaded) stuck(w *watchdog, t *task, _ C.int, _ time.Time) (reason string, hung bool) {
	if C.core_mark_thread_stuck(C.int(t.thread), number(t.rec), t.jobs) == 0 {
		return "", false
	}
	return fmt.Sprintf("did not end within %s after fapws.Timeout was raised in handler %s", seconds(w.policy().grace),
		t.name), false
}

type inline struct{ threaded }

func (inline) start(*Handler) error { return nil }

func (inline) attach(h *Handler, w *eventloop.Waker) {
	if err := h.startPool(); err != nil {
		panic(err) // unreachable, because inline mode starts no thread
	}
	if w.SendNow != nil {
		sendNow = w.SendNow
	}
	h.askForSender = w.AskForSender
}

func (i inline) stuck(w *watchdog, t *task, raised C.int, began time.Time) (reason string, hung bool) {
	reason, _ = i.threaded.stuck(w, t, raised, began)
	return reason, true
}

func (inline) serve(a *App) int { return <-a.stop }

func (inline) stop(a *App, _ int) int {
	a.exit(-1)
	return 0
}

func (inline) finish() { C.core_inline_finish() }

func (inline) onLoop() (rec C.uintptr_t, jobs C.ulong) {
	rec = C.core_inline_record(&jobs)
	return rec, jobs
}

type asyncio struct{}

func (asyncio) place() string       { return "the asyncio thread" }
func (asyncio) expired(w *watchdog) { go w.checkAsync() }
func (asyncio) giveUp()             { C.asgi_give_up() }

func (asyncio) raise(t *task) (raised C.int, s C.core_snapshot, note string) {
	raised = C.asgi_raise_timeout(number(t.rec), t.serial, &s)
	return raised, s, [...]string{"", ", which is canceled", ", which blocks the asyncio thread"}[raised]
}

func (a asyncio) stuck(w *watchdog, t *task, raised C.int, began time.Time) (reason string, hung bool) {
	if C.asgi_is_stuck(number(t.rec), t.serial, raised, t.jobs) == 0 {
		return "", false
	}
	if raised == 1 { // raise has already logged the stack if its result was 2
		w.logAsync(began)
	}
	a.giveUp()
	return "did not end: the asyncio thread is stuck", true
}
