package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/workqueue"
)

// keepBytes is what a recycled record may keep of its buffers.
const keepBytes = 64 << 10

// RunConfig says how handlers are run.
type RunConfig struct {
	Threads int // most Python threads; 0: inline, on the loop
	Queue   int // most requests that wait for a thread; 0: 1024
	Debug   int // 1 and more: the browser gets the traceback of a failed handler

	Stamped bool // standard error is a file: reports there have a date, a level and the client

	Multiprocess bool   // other processes serve the same application
	RunOnce      bool   // the process that runs a handler ends with it: wsgi.run_once
	Software     string // SERVER_SOFTWARE, a product with a version

	// Stuck is called at most once, on a goroutine of its own, when a handler
	// is overdue and does not end: the process should be replaced. nil: there
	// is no supervisor to do that.
	Stuck func(why string)

	// Purge is called on the loop with what the application says to
	// fapws.cache.purge, in JSON, before Next returns a part that was finished
	// later. nil: there is no cache.
	Purge func(pattern string)

	// Warn is called on the loop with a line for the error log.
	Warn func(line string)

	// Timeout is how long a callback of a WebSocket may take. The loop knows of other
	// handlers how long they take, and says it by Overdue. 0: no limit.
	Timeout time.Duration

	// Publish is called on the loop with events that the application has published,
	// in order, before Next returns a part that was finished later. Handler.Dealt has
	// to be told when the server has dealt with them. nil: there are no channels.
	Publish  func([]Event)
	MaxEvent int // most bytes of one as it is sent; 0: 64 KiB

	// Join and Leave are called on the loop when a WebSocket joins or leaves a group of those that Event.Group
	// names. They may be nil.
	Join, Leave func(t exchange.Ticket, group string)

	SendFile bool // X-Sendfile has a file sent; otherwise it is a field like others
	Accel    bool // and X-Accel-Redirect
}

// Handler runs the callables of PATHS. It satisfies runtime.Handler; see there
// for which goroutine calls what.
type Handler struct {
	app    *App
	config RunConfig
	shared *C.fapws_shared

	first, last *C.fapws_record // submitted and not flushed
	pending     int
	delivered   bool          // there is input for Flush
	ready       *C.fapws_part // finished, in order, for Next
	given       int64         // bytes of shared.unseen in the part that Next returned last

	mu      sync.Mutex // Release comes from any goroutine
	free    *C.fapws_record
	records []*C.fapws_record // by ticket, while in flight

	pipelines []*C.fapws_pipeline // by exchange.Request.Pipeline; on the loop

	presence presenceQueue
	order    order
	gilCalls *workqueue.Queue[func()] // see withGIL
	held     inlineWatchdog

	timeoutPolicy      // guarded by mu
	sockets       int  // guarded by mu: open WebSockets for synchronous code
	watching      bool // guarded by mu: watchCallbacks runs
	asksForEnd    bool // guarded by mu: Stuck was called
	seesAsync     bool // guarded by mu: seeAsync runs
}

// Start prepares the handlers. It fails if there can be no thread beside the
// loop. On the thread of Load; inline, any thread.
func (a *App) Start(c RunConfig) (*Handler, error) {
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.MaxEvent <= 0 {
		c.MaxEvent = 64 << 10
	}
	h := &Handler{app: a, config: c, timeoutPolicy: defaultTimeoutPolicy, gilCalls: workqueue.New(runGILCalls)}
	a.handler = h
	a.mode = poolModeOf(c.Threads)
	if err := a.mode.start(h); err != nil {
		return nil, err
	}
	return h, nil
}

// startPool must run on Python's main thread.
func (h *Handler) startPool() error {
	arena := &cArena{}
	defer arena.free()
	n := len(h.app.mounts)
	names := make([]string, n)
	targets := (*C.fapws_target)(C.calloc(C.size_t(n), C.sizeof_fapws_target))
	defer C.free(unsafe.Pointer(targets))
	out := unsafe.Slice(targets, n)
	for i, m := range h.app.mounts {
		names[i] = m.Name
		out[i] = C.fapws_target{kind: C.int(m.Kind), place: arena.str(m.place), relative: C.int(boolByte(m.relative)), callable: unsafe.Pointer(m.callable), environ: m.environ, start: m.start}
	}
	C.fapws_take_gil()
	shared, err := C.fapws_pool_start(&C.fapws_pool_options{
		threads:      C.int(h.config.Threads),
		debug:        C.int(h.config.Debug),
		stamped:      C.int(boolByte(h.config.Stamped)),
		send_fields:  C.int(boolByte(h.config.SendFile)*C.FAPWS_SENDFILE | boolByte(h.config.Accel)*C.FAPWS_ACCEL),
		multiprocess: C.int(boolByte(h.config.Multiprocess)),
		run_once:     C.int(boolByte(h.config.RunOnce)),
		max_event:    C.int(h.config.MaxEvent),
		software:     arena.str(h.config.Software),
		mounts:       C.int(n),
		targets:      targets,
		names:        arena.strs(names),
	})
	C.fapws_release_gil()
	if shared == nil && err == nil {
		err = unix.ENOMEM
	}
	if shared == nil {
		return fmt.Errorf("cannot start a thread: %w; see the limits of processes and memory (ulimit -u, -v; TasksMax of systemd)", err)
	}
	h.shared = shared
	return nil
}

// Attach implements runtime.Handler.
func (h *Handler) Attach(w *exchange.Waker) {
	h.app.mode.attach(h, w)
	C.fapws_pool_attach(C.int(w.Signals), C.int(w.Event), (*C.int32_t)(unsafe.Pointer(w.State)))
}

// sendNow is of the loop that runs handlers inline: there is one interpreter in a process, and one loop that it is on.
var sendNow = func() {}

// fapws_loop_send_now has the loop send what write() was given before the handler goes on. It is the only call from C to
// Go, on the loop, in the middle of a call from Go to C.
//
//export fapws_loop_send_now
func fapws_loop_send_now() { sendNow() }

// Submit implements runtime.Handler: it copies the request into a record.
func (h *Handler) Submit(r *exchange.Request) bool {
	if h.full() {
		h.Flush() // what was gathered may find threads
		if h.full() {
			if r.Spool >= 0 {
				syscall.Close(r.Spool)
			}
			if r.Socket > 0 {
				syscall.Close(r.Socket)
			}
			return false
		}
	}
	h.mu.Lock() // until it can be looked at
	rec := h.take(r.Ticket)
	copyRequest(rec, r)
	if r.Held {
		rec.since_ns = C.uint64_t(coarseNow())
	}
	if r.WebSocket {
		if kinds[h.app.mounts[r.Mount].Kind].callbacks {
			h.sockets++
			h.app.mode.socketOpened(h)
		}
	}
	h.mu.Unlock()
	rec.pipeline = h.pipeline(r.Pipeline)
	if !r.Held {
		h.add(rec)
	}
	return true
}

// add puts rec behind those that the next Flush starts.
func (h *Handler) add(rec *C.fapws_record) {
	rec.next = nil
	if h.last == nil {
		h.first = rec
	} else {
		h.last.next = rec
	}
	h.last = rec
	h.pending++
}

// pipeline returns what the requests of a connection share; nil for 0.
func (h *Handler) pipeline(number int) *C.fapws_pipeline {
	if number == 0 {
		return nil
	}
	for number >= len(h.pipelines) {
		h.pipelines = append(h.pipelines, nil)
	}
	if h.pipelines[number] == nil {
		h.pipelines[number] = (*C.fapws_pipeline)(C.calloc(1, C.sizeof_fapws_pipeline))
	}
	return h.pipelines[number]
}

// Resume implements runtime.Pacer.
func (h *Handler) Resume(t exchange.Ticket) {
	h.mu.Lock()
	rec := h.records[t]
	h.mu.Unlock()
	rec.resumed, rec.recalled = 1, 0
	h.add(rec)
}

// Recall implements runtime.Pacer.
func (h *Handler) Recall(t exchange.Ticket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int(t) < len(h.records) && h.records[t] != nil {
		atomic.StoreUint32((*uint32)(&h.records[t].recalled), 1)
	}
}

// full says whether as many requests wait as may.
func (h *Handler) full() bool {
	return h.pending+int(atomic.LoadUint32((*uint32)(&h.shared.queued))) >= h.config.Queue
}

// Flush implements runtime.Handler.
func (h *Handler) Flush() {
	if h.pending > 0 || h.delivered || atomic.LoadUint32((*uint32)(&h.shared.turn)) != 0 {
		first := h.first
		h.first, h.last, h.pending, h.delivered = nil, nil, 0, false
		h.exitAsked(C.fapws_flush(number(first)))
	}
}

// Deliver implements runtime.Receiver.
func (h *Handler) Deliver(in exchange.Input) {
	if int(in.Ticket) >= len(h.records) {
		return
	}
	h.mu.Lock()
	rec := h.records[in.Ticket]
	h.mu.Unlock()
	if rec == nil {
		return
	}
	h.deliver(rec, in.Op, in.Code, in.Last, in.Data)
}

func (h *Handler) deliver(rec *C.fapws_record, op exchange.Op, code uint16, last bool, data []byte) {
	n := len(data)
	made := (*C.fapws_input)(C.malloc(C.sizeof_fapws_input + C.size_t(n)))
	made.op, made.code, made.last, made.len = C.uint8_t(op), C.uint16_t(code), boolByte(last), C.size_t(n)
	copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(made), C.sizeof_fapws_input)), n), data)
	C.fapws_deliver(number(rec), C.uintptr_t(uintptr(unsafe.Pointer(made))))
	h.delivered = true
}

// exitAsked ends the server if a signal handler of the script has called sys.exit.
func (h *Handler) exitAsked(code C.int) {
	if code >= 0 {
		h.app.exit(int(code))
	}
}

func number(rec *C.fapws_record) C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(rec))) }

// Signalled implements runtime.Handler.
func (h *Handler) Signalled() { C.fapws_signalled() }

// Cancel implements runtime.Handler.
func (h *Handler) Cancel(t exchange.Ticket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int(t) < len(h.records) && h.records[t] != nil {
		C.fapws_cancel(h.records[t])
	}
}

// take returns a record for ticket t. The mutex is held.
func (h *Handler) take(t exchange.Ticket) *C.fapws_record {
	rec := h.free
	if rec != nil {
		h.free = rec.next
	}
	for int(t) >= len(h.records) {
		h.records = append(h.records, nil)
	}
	if rec == nil {
		rec = newRecord()
	}
	h.records[t] = rec
	rec.ticket = C.uint32_t(t)
	rec.serial++
	rec.thread = nil
	return rec
}

func newRecord() *C.fapws_record { return (*C.fapws_record)(C.calloc(1, C.sizeof_fapws_record)) }

// peerTexts is how many texts copyRequest puts a separator behind.
const peerTexts = 7

// copyRequest fills in the half of rec that the loop owns.
func copyRequest(rec *C.fapws_record, r *exchange.Request) {
	p, peer := r.Parsed, r.Peer
	head := len(r.Head)
	need := head + len(r.Path) + len(peer.Addr) + len(peer.Port) + len(peer.ServerName) + len(peer.ServerPort) +
		len(peer.Scheme) + len(peer.Host) + len(peer.User) + len(r.Path) + r.Root + peerTexts + len(r.Body)
	if r.Resumed != nil {
		need += len(r.Resumed.Subprotocol) + len(r.Resumed.Data) + 2
	}
	data := reserve(rec, need)
	n := copy(data, r.Head)
	add := func(s string) C.fapws_span {
		at := n
		n += copy(data[n:], s)
		data[n] = '\n' // so that what lies in a row can be compared as one
		n++
		return C.fapws_span{off: C.uint32_t(at), len: C.uint32_t(len(s))}
	}
	rec.method, rec.target, rec.query, rec.authority = span(p.Method), span(p.Target), span(p.Query), span(p.Authority)
	// The path lies in the head unless that spells it otherwise, or a proxy has taken
	// its beginning off.
	if p.Plain && p.Authority.Len == 0 && string(p.Path.In(r.Head)) == string(r.Path) {
		rec.path = span(p.Path)
	} else {
		rec.path = C.fapws_span{off: C.uint32_t(n), len: C.uint32_t(len(r.Path))}
		n += copy(data[n:], r.Path)
	}
	from := n
	rec.addr, rec.server_name, rec.server_port = add(peer.Addr), add(peer.ServerName), add(peer.ServerPort)
	rec.scheme, rec.host, rec.user = add(peer.Scheme), add(peer.Host), add(peer.User)
	if r.Routed { // the head alone does not say where it leads
		n += copy(data[n:], r.Path)
	}
	n += copy(data[n:], r.Path[:r.Root])
	rec.head_len, rec.peer_len = C.uint32_t(head), C.uint32_t(n-from)
	rec.port = add(peer.Port)
	if rec.handed = boolByte(r.Resumed != nil); r.Resumed != nil {
		rec.subprotocol, rec.state = add(r.Resumed.Subprotocol), add(string(r.Resumed.Data))
	}
	rec.body_off, rec.body_len = C.size_t(n), C.size_t(len(r.Body))
	copy(data[n:], r.Body)
	copyFields(rec, p.Fields)
	rec.mount = C.uint32_t(r.Mount)
	rec.log = C.uint32_t(r.ErrorLog)
	rec.script_len = C.uint32_t(r.Script)
	rec.size = C.int64_t(r.Size)
	rec.spool = C.int32_t(r.Spool)
	rec.minor = C.uint8_t(p.Minor)
	rec.head_only = boolByte(p.Head)
	rec.has_length = boolByte(p.Body != http1.NoBody)
	rec.chunked = boolByte(p.Body == http1.Chunked)
	rec.has_body = boolByte(r.Size > 0)
	rec.more, rec.websocket, rec.socket = boolByte(r.More), boolByte(r.WebSocket), C.int32_t(r.Socket)
	rec.open, rec.socket_object, rec.taken = 0, nil, 0
	rec.cancelled = 0
	rec.event, rec.behind = 0, 0
	rec.job = C.FAPWS_RUN
	rec.unacked, rec.counted, rec.resumed, rec.recalled = 0, 0, 0, 0
	rec.events, rec.closing, rec.inputs, rec.inputs_tail, rec.exchange = 0, 0, nil, nil, nil
	rec.routed = boolByte(r.Routed)
}

func span(s http1.Span) C.fapws_span {
	return C.fapws_span{off: C.uint32_t(s.Off), len: C.uint32_t(s.Len)}
}

func boolByte(b bool) C.uint8_t {
	if b {
		return 1
	}
	return 0
}

// reserve returns rec.data with room for need bytes.
func reserve(rec *C.fapws_record, need int) []byte {
	if need > int(rec.cap) {
		size := max(1024, need)
		C.free(unsafe.Pointer(rec.data))
		rec.data = (*C.char)(C.malloc(C.size_t(size)))
		rec.cap = C.size_t(size)
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(rec.data)), int(rec.cap))
}

// copyFields relies on http1.Field and fapws_field having one layout.
func copyFields(rec *C.fapws_record, fields []http1.Field) {
	if len(fields) > int(rec.fields_cap) {
		size := max(16, len(fields))
		C.free(unsafe.Pointer(rec.fields))
		rec.fields = (*C.fapws_field)(C.malloc(C.size_t(size) * C.sizeof_fapws_field))
		rec.fields_cap = C.uint32_t(size)
	}
	copy(unsafe.Slice((*http1.Field)(unsafe.Pointer(rec.fields)), int(rec.fields_cap)), fields)
	rec.nfields = C.uint32_t(len(fields))
}

var _ [unsafe.Sizeof(http1.Field{}) - C.sizeof_fapws_field]byte
var _ [C.sizeof_fapws_field - unsafe.Sizeof(http1.Field{})]byte
