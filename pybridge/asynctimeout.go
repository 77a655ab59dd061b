package pybridge

// #include "shim_stack.h"
import "C"

import (
	"bytes"
	"fmt"
	"time"
)

// interruptTask logs the stack of the task of a request that has timed out, has it cancelled, and checks whether the asyncio
// thread does that.
func (h *Handler) interruptTask(t task, took time.Duration) {
	var seen stackSnapshot
	var how C.int
	began, policy := time.Now(), h.policy()
	h.reach(&t, took, policy, func() {
		var s C.fapws_stack_snapshot
		if how = C.fapws_async_raise_timeout(number(t.rec), t.serial, &s); how == 0 {
			return // the task has ended
		}
		seen = snapshotOf(&s)
		where := ", which is canceled"
		if how == 2 {
			where = ", which blocks the asyncio thread"
		}
		var stack bytes.Buffer
		writeStack(&stack, seen.stack)
		t.say("%s timed out after %s in handler %s%s; stack:\n%s", &t, seconds(took), t.name, where, stack.Bytes())
	}, func() { C.fapws_async_give_up() })
	if how == 0 {
		return
	}
	time.Sleep(policy.grace)
	if C.fapws_async_is_stuck(number(t.rec), t.serial, how, seen.jobs) == 0 {
		return
	}
	if how == 1 { // else the stack was logged already
		h.logAsync(began)
	}
	C.fapws_async_give_up()
	h.stuck(fmt.Sprintf("%s timed out and did not end: the asyncio thread is stuck", &t))
}

// checkAsync is called when a request has waited too long for the asyncio thread, and checks whether the thread makes progress:
// code that belongs to no request may block it, such as a task of the application.
func (h *Handler) checkAsync() {
	h.mu.Lock()
	p, busy := h.timeoutPolicy, h.checksAsync
	h.checksAsync = true
	h.mu.Unlock()
	if busy {
		return
	}
	defer func() {
		h.mu.Lock()
		h.checksAsync = false
		h.mu.Unlock()
	}()
	at, began := C.fapws_async_progress(), time.Now()
	time.Sleep(p.grace)
	if C.fapws_async_is_stalled(at) == 0 {
		return
	}
	if done := h.logAsync(began); done != nil && !endsWithin(done, p.forGIL) {
		say("the asyncio thread has been blocked for %s; %v; all threads:\n%s", seconds(time.Since(began)), errNoGIL, dumpStacks())
	}
	C.fapws_async_give_up()
	h.stuck("requests wait for the asyncio thread, which is stuck")
}

// logAsync logs the stack of the asyncio thread, which has made no progress since began.
func (h *Handler) logAsync(began time.Time) <-chan struct{} {
	return h.withGIL(func() {
		var s C.fapws_stack_snapshot
		C.fapws_async_take_snapshot(&s)
		var stack bytes.Buffer
		writeStack(&stack, snapshotOf(&s).stack)
		say("the asyncio thread has been blocked for %s; stack:\n%s", seconds(time.Since(began)), stack.Bytes())
	})
}
