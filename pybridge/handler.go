package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// keepBytes is the maximum size of a buffer that a recycled record keeps.
const keepBytes = 64 << 10

type RunConfig struct {
	// maximum number of threads that run handlers; 0 means inline mode, on the event loop
	Threads int
	// number of processors that the threads can use; 0 means all processors of the machine
	Processors int
	// maximum number of requests that wait for a thread; 0 means 1024
	Queue int
	Debug int // 1 or more: the client receives the traceback of a handler that fails

	// DebugLocal limits tracebacks to requests for http1.LocalHost, because a foreign site can make its own host name
	// resolve to this machine (DNS rebinding).
	DebugLocal bool

	Multiprocess bool   // other processes serve the same application
	Software     string // SERVER_SOFTWARE, a product name with a version

	// Stuck, if not nil, is called on a separate goroutine when a handler has timed out and does not end, or holds the
	// GIL. The function should start the replacement of this process. hung means that no other handler can run. Stuck is
	// called without hung at most once, and with hung each time that handlers hang again.
	Stuck func(reason string, hung bool)

	// Purge, if not nil, is called on the event loop with the arguments of fapws.cache.purge, as JSON. If a part was
	// finished after the call of fapws.cache.purge, Next returns the part only after the call of Purge.
	Purge func(patterns []string)

	// Timeout is the maximum duration of a WebSocket callback; 0 means no limit. The event loop itself checks the
	// duration of requests, and calls Cancel.
	Timeout time.Duration

	// Publish, if not nil, is called on the event loop with published events, in order. If a part was finished after
	// the events were published, Next returns the part only after the call of Publish. Handler.Dealt must be called
	// after the server has handled the events.
	Publish func([]Event)
	// maximum bytes of an event in its transmitted form; 0 means 64 KiB
	MaxEvent int

	// ChangeGroup, if not nil, is called on the event loop when a WebSocket joins or leaves a group (Event.Group).
	ChangeGroup func(t exchange.Ticket, group string, joins bool)

	Then     Then
	SendFile bool // the field X-Sendfile makes the server send a file
	Accel    bool // the field X-Accel-Redirect makes the server send a file
}

// Handler implements app.Interpreter. The comments of app.Interpreter say on which goroutine each method must be
// called.
type Handler struct {
	activeRequests
	watchdog
	app    *App
	config RunConfig
	shared *C.core_shared

	// records of requests that were submitted, but that Flush has not passed to C yet
	first, last *C.core_record
	pending     int
	delivered   bool
	ready       *C.core_part
	// number of bytes in shared.unseen that belong to the part that Next returned last
	given int64

	// indexed by exchange.Request.Pipeline; used only on the event loop
	pipelines []*C.core_pipeline

	askForSender func() // eventloop.Waker.AskForSender in inline mode, otherwise nil
	presence     presenceQueue
}

// Start starts the threads that run handlers, or returns an error if no thread can be started. Start must be called on
// the thread that called Load or, in inline mode, on any thread.
func (a *App) Start(c RunConfig) (*Handler, error) {
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.MaxEvent <= 0 {
		c.MaxEvent = 64 << 10
	}
	if c.Processors <= 0 {
		c.Processors = goruntime.NumCPU()
	}
	h := &Handler{app: a, config: c}
	h.activeRequests = activeRequests{app: a, timeout: c.Timeout, gilQueue: gilQueue{eventloop.NewQueue(runGILCalls)}}
	h.watchdog = watchdog{requests: &h.activeRequests, config: &h.config, timeoutPolicy: defaultTimeoutPolicy}
	a.handler = h
	if c.Threads <= 0 {
		a.mode = inline{}
	}
	if err := a.mode.start(h); err != nil {
		return nil, err
	}
	return h, nil
}

// Warning returns a line for the log if handlers cannot run in parallel because a free-threaded Python runs with the
// GIL. Otherwise Warning returns "".
func (h *Handler) Warning() string {
	if h.config.Threads < 2 || !strings.HasSuffix(Version(), "t") || h.shared.parallel != 0 {
		return ""
	}
	return "Python's GIL is on, so threads take turns: PYTHON_GIL=1 is set, or the application imports an extension " +
		"module that needs it (Python's warning names it)"
}

// startPool must be called on Python's main thread.
func (h *Handler) startPool() error {
	arena := &cArena{}
	defer arena.free()
	n := len(h.app.mounts)
	names := make([]string, n)
	targets := (*C.core_target)(C.calloc(C.size_t(n), C.sizeof_core_target))
	defer C.free(unsafe.Pointer(targets))
	out := unsafe.Slice(targets, n)
	for i, m := range h.app.mounts {
		names[i] = m.Name
		out[i] = C.core_target{kind: C.int(m.Kind), place: arena.str(m.Place), relative: C.int(boolByte(m.relative)),
			callable: unsafe.Pointer(m.callable), environ: m.environ, start: m.start}
	}
	C.core_take_gil()
	shared, err := C.live_start_pool(&C.core_options{
		threads:      C.int(h.config.Threads),
		cpus:         C.int(h.config.Processors),
		debug:        C.int(h.config.Debug),
		send_fields:  C.int(boolByte(h.config.SendFile)*C.CORE_SENDFILE | boolByte(h.config.Accel)*C.CORE_ACCEL),
		multiprocess: C.int(boolByte(h.config.Multiprocess)),
		max_event:    C.int(h.config.MaxEvent),
		software:     arena.str(h.config.Software),
		mounts:       C.int(n),
		targets:      targets,
		names:        arena.strs(names),
	})
	C.core_release_gil()
	if shared == nil && err == nil {
		err = unix.ENOMEM
	}
	if shared == nil {
		return fmt.Errorf("cannot start a thread: %w; see the limits of processes and memory (ulimit -u, -v; "+
			"TasksMax of systemd)", err)
	}
	h.shared = shared
	h.limitLargeParts(system.Memory())
	return nil
}

// limitLargeParts bounds the large parts that are being made or wait to be counted (conn.Ledger), so that they fit into
// the memory of the process in addition to the responses that wait for clients. memory is in bytes; 0 means unknown.
func (h *Handler) limitLargeParts(memory int64) {
	h.shared.unseen_max, h.shared.large_max = C.CORE_UNSEEN_MAX, math.MaxInt64
	if memory > 0 {
		h.shared.unseen_max = C.int64_t(min(C.CORE_UNSEEN_MAX, memory/32))
		h.shared.large_max = C.int64_t(memory / 16)
	}
}

func (h *Handler) Attach(w *eventloop.Waker) {
	h.app.mode.attach(h, w)
	C.core_pool_attach(C.int(w.Signals), C.int(w.Event), (*C.int32_t)(unsafe.Pointer(w.State)))
}

// sendNow is the event loop's eventloop.Waker.SendNow in inline mode, and does nothing in other modes.
var sendNow = func() {}

// core_loop_send_now makes the event loop send the data of write() before the handler continues. C calls it on the
// event loop, during a call from Go to C.
//
//export core_loop_send_now
func core_loop_send_now() { sendNow() }

func (h *Handler) Submit(t exchange.Ticket, r *exchange.Request) bool {
	for tries := 0; h.pending+int(atomic.LoadUint32((*uint32)(&h.shared.queued))) >= h.config.Queue; tries++ {
		if tries == 0 {
			h.Flush()
			continue
		}
		if r.Spool >= 0 {
			syscall.Close(r.Spool)
		}
		if r.Socket > 0 {
			syscall.Close(r.Socket)
		}
		return false
	}
	rec := h.register(t, r)
	if rec.req.pipeline = nil; r.Pipeline != 0 {
		rec.req.pipeline = h.pipeline(r.Pipeline)
	}
	h.add(rec)
	return true
}

// register returns a record with the request r, which is then the record of t. register holds h.mu until the record is
// complete, because other goroutines read the records. A panic of register leaves the records as they were.
func (h *Handler) register(t exchange.Ticket, r *exchange.Request) *C.core_record {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.free == nil {
		h.free = newRecord()
	}
	rec := h.free
	rec.ticket = C.uint32_t(t)
	rec.serial++
	kind, certificate := &kinds[h.app.mounts[r.Mount].Kind], ""
	if kind.mode != nil && r.Peer.TLS != nil {
		certificate = r.Peer.TLS.Server
	}
	copyRequest(rec, r, certificate)
	var times *logfile.Times
	if r.Services != nil {
		times = r.Services.Times
	}
	rec.req.timed = boolByte(times != nil)
	rec.req.foreign = boolByte(h.config.DebugLocal &&
		!http1.LocalHost(string(r.Peer.AppendHost(nil, r.Parsed, r.Head))))
	if r.Upgrade && kind.callbacks {
		h.sockets++
		h.watchSockets()
	}
	for int(t) >= len(h.records) {
		h.records, h.times = append(h.records, nil), append(h.times, nil)
	}
	h.free, h.records[t], h.times[t] = rec.next, rec, times
	return rec
}

func (h *Handler) add(rec *C.core_record) {
	rec.next = nil
	if h.last == nil {
		h.first = rec
	} else {
		h.last.next = rec
	}
	h.last = rec
	h.pending++
}

func (h *Handler) pipeline(number int) *C.core_pipeline {
	for number >= len(h.pipelines) {
		h.pipelines = append(h.pipelines, nil)
	}
	if h.pipelines[number] == nil {
		h.pipelines[number] = (*C.core_pipeline)(C.calloc(1, C.sizeof_core_pipeline))
	}
	return h.pipelines[number]
}

func (h *Handler) Resume(t exchange.Ticket) {
	rec := h.find(t)
	rec.req.resumed = 1
	h.add(rec)
}

func (h *Handler) Flush() {
	if h.pending > 0 || h.delivered || atomic.LoadUint32((*uint32)(&h.shared.turn)) != 0 {
		first := h.first
		h.first, h.last, h.pending, h.delivered = nil, nil, 0, false
		// code is the exit status if a signal handler of the script has called sys.exit, and otherwise negative.
		if code := C.core_flush(C.uintptr_t(uintptr(unsafe.Pointer(first)))); code >= 0 {
			h.app.exit(int(code))
		}
		if h.askForSender != nil && atomic.SwapUint32((*uint32)(&h.shared.unattended), 0) != 0 {
			h.askForSender()
		}
	}
}

func (h *Handler) Deliver(input exchange.Input) {
	rec := h.find(input.Ticket)
	if rec == nil {
		return
	}
	n := len(input.Data)
	made := (*C.core_input)(C.malloc(C.sizeof_core_input + C.size_t(n)))
	made.op, made.code, made.last, made.len = C.uint8_t(input.Op), C.uint16_t(input.Code), boolByte(input.Last), C.size_t(n)
	copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(made), C.sizeof_core_input)), n), input.Data)
	C.core_deliver(number(rec), C.uintptr_t(uintptr(unsafe.Pointer(made))))
	h.delivered = true
}

func (h *Handler) Signalled() { C.core_signalled() }

func (h *Handler) Cancel(t exchange.Ticket, took time.Duration) {
	h.cancel(t, took > 0)
	if took > 0 {
		h.overdue(t, took)
	}
}

func (h *Handler) cancel(t exchange.Ticket, overdue bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rec := h.record(t); rec != nil && (!overdue || rec.cancelled == 0) {
		C.core_cancel(rec)
	}
}

// Attend tells handlers in inline mode whether a second goroutine sends chunks while the event loop runs the handler.
// PEP 3333 requires that a chunk is sent before the iterator makes the next chunk. Without the second goroutine, the
// handler must therefore return to the event loop after each chunk.
func (h *Handler) Attend(enabled bool) {
	atomic.StoreUint32((*uint32)(&h.shared.attended), uint32(boolByte(enabled)))
}

func (h *Handler) InTurn() bool { return atomic.LoadUint32((*uint32)(&h.shared.turning)) != 0 }
