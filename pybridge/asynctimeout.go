package pybridge

// #include "shim_stack.h"
import "C"

import (
	"bytes"
	"fmt"
	"time"
)

// interruptTask says where the task of an overdue request stands, has it cancelled,
// and sees whether the asyncio thread comes to that.
func (h *Handler) interruptTask(t task, took time.Duration) {
	var seen stackSnapshot
	var how C.int
	began, policy := time.Now(), h.policy()
	h.reach(&t, took, policy, func() {
		var s C.fapws_stack_snapshot
		if how = C.fapws_async_raise_timeout(number(t.rec), t.serial, &s); how == 0 {
			return // it has ended
		}
		seen = snapshotOf(&s)
		where := "; it is cancelled where it stands"
		if how == 2 {
			where = " and keeps the asyncio thread from all others"
		}
		var stack bytes.Buffer
		writeStack(&stack, seen.stack)
		t.say("%s is overdue after %s in handler %s%s:\n%s", &t, seconds(took), t.name, where, stack.Bytes())
	}, func() { C.fapws_async_give_up() })
	if how == 0 {
		return
	}
	time.Sleep(policy.grace)
	if C.fapws_async_is_stuck(number(t.rec), t.serial, how, seen.jobs) == 0 {
		return
	}
	if how == 1 { // else it has been seen already
		h.sayWhereAsyncIs(began)
	}
	C.fapws_async_give_up()
	h.stuck(fmt.Sprintf("%s is overdue and does not end: the asyncio thread is stuck", &t))
}

// seeAsync is for a request that has waited too long for the asyncio thread. What keeps it may
// belong to no request that could be overdue: what runs after a response, or a task of the
// application's own. Then it sees whether the thread comes back.
func (h *Handler) seeAsync() {
	h.mu.Lock()
	p, busy := h.timeoutPolicy, h.seesAsync
	h.seesAsync = true
	h.mu.Unlock()
	if busy {
		return
	}
	defer func() {
		h.mu.Lock()
		h.seesAsync = false
		h.mu.Unlock()
	}()
	at, began := C.fapws_async_progress(), time.Now()
	time.Sleep(p.grace)
	if C.fapws_async_is_stalled(at) == 0 {
		return
	}
	if done := h.sayWhereAsyncIs(began); done != nil && !endsWithin(done, p.forGIL) {
		say("the asyncio thread has not come back for %s, and %v; all threads:\n%s", seconds(time.Since(began)), errNoGIL, dumpStacks())
	}
	C.fapws_async_give_up()
	h.stuck("requests wait for the asyncio thread, which is stuck")
}

// sayWhereAsyncIs says what the asyncio thread runs, which has not come back since began.
func (h *Handler) sayWhereAsyncIs(began time.Time) <-chan struct{} {
	return h.withGIL(func() {
		var s C.fapws_stack_snapshot
		C.fapws_async_take_snapshot(&s)
		var stack bytes.Buffer
		writeStack(&stack, snapshotOf(&s).stack)
		say("the asyncio thread has not come back for %s; it is here:\n%s", seconds(time.Since(began)), stack.Bytes())
	})
}
