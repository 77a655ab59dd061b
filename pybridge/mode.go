package pybridge

// #include "shim.h"
import "C"

import (
	"time"

	"fapws/runtime/eventloop"
)

// mode is how requests of a mount are run: on threads, inline or on the asyncio thread. core.h has the other half of the
// table. Its methods are safe for concurrent use.
type mode interface {
	// place names the thread that a queued request waits for.
	place() string
	// expired is called when a request has timed out in the queue.
	expired(h *Handler)
	// interrupt ends the handler of t, which has timed out, and returns when that has helped or the process is to be
	// replaced.
	interrupt(h *Handler, t task, took time.Duration)
}

// poolMode is the mode of a process: threads or inline.
type poolMode interface {
	mode
	// start prepares the pool if that is for the thread of Load to do.
	start(h *Handler) error
	// attach is called on the loop before its first request.
	attach(h *Handler, w *eventloop.Waker)
	// serve is App.Serve.
	serve(a *App) int
	// stop is App.Stop.
	stop(a *App) int
	// finish is called by App.Close, on the thread of Load, before Python ends.
	finish()
	// socketOpened is called with h.mu held, when a WebSocket with callbacks begins.
	socketOpened(h *Handler)
	// onLoop returns the record that runs on the loop, 0 for none, and the number of its job. On any goroutine.
	onLoop() (rec C.uintptr_t, jobs C.ulong)
}

func poolModeOf(threads int) poolMode {
	if threads > 0 {
		return threaded{}
	}
	return inline{}
}

// threaded runs handlers on the threads of the pool.
type threaded struct{}

func (threaded) place() string                                    { return "a thread" }
func (threaded) expired(*Handler)                                 {}
func (threaded) interrupt(h *Handler, t task, took time.Duration) { h.interrupt(t, took) }
func (threaded) start(h *Handler) error                           { return h.startPool() }
func (threaded) attach(*Handler, *eventloop.Waker)                {}
func (threaded) serve(*App) int                                   { return int(C.core_serve()) }
func (threaded) stop(*App) int                                    { return int(C.core_pool_stop(1000)) }
func (threaded) finish()                                          {}
func (threaded) socketOpened(h *Handler)                          { h.watchSockets() }
func (threaded) onLoop() (C.uintptr_t, C.ulong)                   { return 0, 0 }

// inline runs handlers on the loop, whose thread is Python's main thread.
type inline struct{ threaded }

func (inline) start(*Handler) error { return nil }

func (inline) attach(h *Handler, w *eventloop.Waker) {
	if err := h.startPool(); err != nil {
		panic(err) // it starts no thread
	}
	if w.SendNow != nil {
		sendNow = w.SendNow
	}
}

func (inline) serve(a *App) int { return <-a.stop }

func (inline) stop(a *App) int {
	a.exit(-1)
	return 0
}

func (inline) finish() { C.core_inline_finish() }

func (inline) socketOpened(*Handler) {} // Stalled sees its callbacks

func (inline) onLoop() (rec C.uintptr_t, jobs C.ulong) {
	rec = C.core_inline_record(&jobs)
	return rec, jobs
}

// asyncio runs tasks on the asyncio thread.
type asyncio struct{}

func (asyncio) place() string                                    { return "the asyncio thread" }
func (asyncio) expired(h *Handler)                               { go h.checkAsync() }
func (asyncio) interrupt(h *Handler, t task, took time.Duration) { h.interruptTask(t, took) }
