package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unsafe"

	python3 "github.com/go-python/cpy3"
)

// AsyncConfig configures the asyncio thread.
type AsyncConfig struct {
	Loop     string // "asyncio", "uvloop", or "auto": uvloop if it can be imported
	Lifespan string // of ASGI applications: "on", "off", or "auto": if they serve it
}

// IsAsync reports whether a mount needs the asyncio thread. It is safe for concurrent use.
func (a *App) IsAsync() bool {
	for i := range a.mounts {
		if kinds[a.mounts[i].Kind].mode != nil {
			return true
		}
	}
	return false
}

// Startup starts the asyncio thread, if a mount needs it, and the lifespans of ASGI applications, and waits until they have
// started, without a limit. It must be called once, on the thread of Load, before the first Submit.
//
// The error is one line for the user; a traceback may precede it on stderr.
func (a *App) Startup(c AsyncConfig) error {
	if !a.IsAsync() {
		return nil
	}
	arena := &cArena{}
	defer arena.free()
	var apps []unsafe.Pointer
	known := map[*python3.PyObject]bool{}
	for i := range a.mounts {
		if m := &a.mounts[i]; kinds[m.Kind].lifespan && !known[m.callable] {
			known[m.callable] = true
			apps = append(apps, unsafe.Pointer(m.callable))
		}
	}
	list := arena.pointers(apps)
	C.core_take_gil()
	wrong := C.asgi_thread_start(arena.str(c.Loop), arena.str(c.Lifespan), list, C.int(len(apps)))
	C.core_release_gil()
	if wrong == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(wrong))
	return errors.New(C.GoString(wrong))
}

// Shutdown ends the asyncio thread: after grace it cancels tasks, then it shuts down lifespans. It reports whether the thread has
// ended. It may be called on any goroutine, after the last Submit.
func (a *App) Shutdown(grace time.Duration) bool {
	return C.asgi_thread_stop(C.int(max(grace, 0).Milliseconds())) != 0
}

func (a *cArena) pointers(list []unsafe.Pointer) *unsafe.Pointer {
	p := C.calloc(C.size_t(len(list)+1), C.size_t(unsafe.Sizeof(uintptr(0))))
	a.all = append(a.all, p)
	copy(unsafe.Slice((*unsafe.Pointer)(p), len(list)), list)
	return (*unsafe.Pointer)(p)
}

// interruptTask logs the stack of the task of a request that has timed out, has it cancelled, and checks whether the asyncio
// thread does that.
func (h *Handler) interruptTask(t task, took time.Duration) {
	var seen stackSnapshot
	var how C.int
	began, policy := time.Now(), h.policy()
	h.reach(&t, took, policy, func() {
		var s C.core_snapshot
		if how = C.asgi_raise_timeout(number(t.rec), t.serial, &s); how == 0 {
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
	}, func() { C.asgi_give_up() })
	if how == 0 {
		return
	}
	time.Sleep(policy.grace)
	if C.asgi_is_stuck(number(t.rec), t.serial, how, seen.jobs) == 0 {
		return
	}
	if how == 1 { // else the stack was logged already
		h.logAsync(began)
	}
	C.asgi_give_up()
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
	at, began := C.asgi_progress(), time.Now()
	time.Sleep(p.grace)
	if C.asgi_is_stalled(at) == 0 {
		return
	}
	if done := h.logAsync(began); done != nil && !endsWithin(done, p.forGIL) {
		say("the asyncio thread has been blocked for %s; %v; all threads:\n%s", seconds(time.Since(began)), errNoGIL, dumpStacks())
	}
	C.asgi_give_up()
	h.stuck("requests wait for the asyncio thread, which is stuck")
}

// logAsync logs the stack of the asyncio thread, which has made no progress since began.
func (h *Handler) logAsync(began time.Time) <-chan struct{} {
	return h.withGIL(func() {
		var s C.core_snapshot
		C.asgi_take_snapshot(&s)
		var stack bytes.Buffer
		writeStack(&stack, snapshotOf(&s).stack)
		say("the asyncio thread has been blocked for %s; stack:\n%s", seconds(time.Since(began)), stack.Bytes())
	})
}
