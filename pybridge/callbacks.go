package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"time"
	"unsafe"

	"fapws/runtime/exchange"
)

// checkEvery is the interval at which running callbacks of WebSockets are checked.
const checkEvery = 500 * time.Millisecond

// watchSockets starts the goroutine that checks callbacks of WebSockets for RunConfig.Timeout, because the event loop does not
// know how long they run. It ends with the last of these WebSockets. h.mu is held.
func (h *Handler) watchSockets() {
	if h.config.Timeout > 0 && !h.watching {
		h.watching = true
		go h.watchCallbacks()
	}
}

// running is the last known job of a thread.
type running struct {
	rec    *C.core_record
	serial C.uint32_t
	jobs   C.ulong
	since  time.Time
	logged bool
}

func (h *Handler) watchCallbacks() {
	most := max(1, 2*h.config.Threads)
	found := (*C.core_snapshot)(C.calloc(C.size_t(most), C.sizeof_core_snapshot))
	defer C.free(unsafe.Pointer(found))
	threads := map[C.int]*running{}
	for {
		time.Sleep(checkEvery)
		h.mu.Lock()
		if h.sockets == 0 {
			h.watching = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		n := int(C.core_running_callbacks(found, C.int(most)))
		now := map[C.int]*running{}
		for _, s := range unsafe.Slice(found, most)[:n] {
			r := threads[s.thread]
			if r == nil || r.rec != s.rec || r.serial != s.serial || r.jobs != s.jobs {
				r = &running{rec: s.rec, serial: s.serial, jobs: s.jobs, since: time.Now()}
			}
			now[s.thread] = r
			if took := time.Since(r.since); took >= h.config.Timeout && !r.logged {
				r.logged = true
				h.callbackOverdue(r, took)
			}
		}
		threads = now
	}
}

func (h *Handler) callbackOverdue(r *running, took time.Duration) {
	h.mu.Lock()
	if h.record(exchange.Ticket(r.rec.ticket)) != r.rec || r.rec.serial != r.serial {
		h.mu.Unlock()
		return
	}
	t := h.describe(r.rec)
	h.mu.Unlock()
	t.jobs = r.jobs
	go h.interrupt(t, took)
}
