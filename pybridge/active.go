package pybridge

// #include "shim.h"
import "C"

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// activeRequests contains the records of the requests that handlers work on, and reports their state and their stacks.
type activeRequests struct {
	gilQueue
	app     *App
	timeout time.Duration // RunConfig.Timeout

	mu      sync.Mutex // guards the following fields, because Release can be called on any goroutine
	free    *C.core_record
	records []*C.core_record // active records, indexed by ticket
	times   []*logfile.Times // times to measure for each record, indexed by ticket; nil if not measured
	sockets int              // number of open WebSockets with callbacks
}

type ActiveRequest struct {
	Request string // method and path, without the query
	Handler string
	Mount   int // Mount.Index of the handler
	Age     time.Duration
	State   string // for example "running on thread 0" or "queued"
	// line that Python executes for the request, such as `app.py:12 in view`; "" if unknown, or if no code runs
	At string
	// the handler has waited and run for longer than the timeout
	Late bool
}

// Active returns the active requests. Active waits for the GIL for at most the duration wait. The result ok is false if
// the GIL was not available, and the fields At are then not set. Active is safe for concurrent use.
func (r *activeRequests) Active(wait time.Duration) (active []ActiveRequest, ok bool) {
	list, ok := r.sample(wait)
	active = make([]ActiveRequest, len(list))
	for i := range list {
		t := &list[i]
		active[i] = ActiveRequest{Request: WithoutQuery(t.line), Handler: t.name, Mount: t.mount, Age: t.age(), State: t.state(),
			Late: r.timeout > 0 && t.age() > r.timeout && (t.where == C.CORE_QUEUED ||
				t.where == C.CORE_AWAITING || t.where == C.CORE_RUNNING)}
		if len(t.stack) > 0 {
			active[i].At = t.stack[0].place()
		}
	}
	return active, ok
}

// WithoutQuery returns the method and the path of a request line.
func WithoutQuery(line string) string {
	if end := strings.LastIndexByte(line, ' '); end >= 0 {
		line = line[:end]
	}
	line, _, _ = strings.Cut(line, "?")
	return line
}

// Stack writes a line with the state of each active request, and the Python stack of each request that a thread or task
// runs. Stack is safe for concurrent use.
//
// If Stack cannot take the GIL within the duration wait, Stack writes those stacks of Python threads that are available
// without the GIL, and returns an error.
func (r *activeRequests) Stack(w io.Writer, wait time.Duration) error {
	out := new(bytes.Buffer)
	list, ok := r.sample(wait)
	for i := range list {
		t := &list[i]
		fmt.Fprintf(out, "request %d, %s, %s, handler %s, %s\n", t.ticket, t, seconds(t.age()), t.name, t.state())
		out.WriteString(t.stack.text())
	}
	if len(list) == 0 {
		fmt.Fprintln(out, "no active requests")
	}
	if !ok {
		fmt.Fprintf(out, "%v, or Python is ending: the stacks of all threads, as far as they can be seen without it\n",
			errNoGIL)
		out.WriteString(dumpStacks())
	}
	_, err := out.WriteTo(w)
	if err == nil && !ok {
		err = errNoGIL
	}
	return err
}

// sample returns all active requests, beginning with the oldest, and the stacks of the requests that a thread or task
// runs. The result ok is false if the stacks are missing, because a handler holds the GIL, or Python is ending.
func (r *activeRequests) sample(wait time.Duration) (list []task, ok bool) {
	const tasks = 256
	found := map[job]callStack{}
	done := r.withGIL(func() {
		seen := make([]C.core_snapshot, C.CORE_MAX_THREADS+tasks)
		for i := range int(C.asgi_sample_stacks(&seen[0], C.int(len(seen)))) {
			found[job{seen[i].rec, seen[i].serial}] = takeStack(&seen[i])
		}
	})
	ok = done != nil && endsWithin(done, wait)
	list = r.tasks()
	if ok {
		for i := range list {
			list[i].stack = found[list[i].job]
		}
	}
	return list, ok
}

func (r *activeRequests) tasks() (list []task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.records {
		if rec != nil {
			list = append(list, r.describe(rec))
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].since < list[j].since })
	return list
}

// find returns the active record with the ticket t, or nil.
func (r *activeRequests) find(t exchange.Ticket) *C.core_record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.record(t)
}

// record returns the active record with the ticket t, or nil; the caller must hold r.mu.
func (r *activeRequests) record(t exchange.Ticket) *C.core_record {
	if int(t) < len(r.records) {
		return r.records[t]
	}
	return nil
}

// handedBody is the maximum size of the body of a request that Waiting returns, in bytes.
const handedBody = 256 << 10

// Waiting returns the requests whose handlers have not begun, by their tickets, as their clients have sent them over
// HTTP/1. Requests whose body is in a file, or larger than handedBody, are left out.
func (r *activeRequests) Waiting() map[exchange.Ticket][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := map[exchange.Ticket][]byte{}
	for _, rec := range r.records {
		var thread C.int
		if rec == nil || rec.run.job != C.CORE_RUN || C.core_record_state(number(rec), &thread) != C.CORE_QUEUED ||
			rec.req.more != 0 || rec.req.chunked != 0 || rec.run.spool >= 0 || rec.req.body_len > handedBody || rec.req.websocket != 0 {
			continue
		}
		data := unsafe.Slice((*byte)(unsafe.Pointer(rec.req.data)), int(rec.req.cap))
		head := bytes.TrimRight(data[:C.core_shared_head(rec)], "\r\n") // without the fields that the server has added
		waiting[exchange.Ticket(rec.ticket)] = slices.Concat(head, []byte("\r\n\r\n"),
			unsafe.Slice((*byte)(unsafe.Pointer(rec.req.body)), int(rec.req.body_len)))
	}
	return waiting
}

// HasOlder reports whether a request that is not a WebSocket has been active for longer than age.
func (r *activeRequests) HasOlder(age time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.records, func(rec *C.core_record) bool {
		return rec != nil && rec.req.websocket == 0 && (&task{since: uint64(rec.req.since_ns)}).age() > age
	})
}

func (r *activeRequests) isActive() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.records, func(rec *C.core_record) bool { return rec != nil })
}

type job struct {
	rec    *C.core_record
	serial C.uint32_t
}

type task struct {
	job
	ticket int
	since  uint64 // ns of CLOCK_MONOTONIC_COARSE
	line   string
	addr   string // address of the client without its port, or ""
	port   string
	about  logfile.About

	log    int
	mount  int // Mount.Index
	name   string
	run    mode
	where  C.int
	thread int
	jobs   C.ulong // number of the job (core_jobs_of); 0 means any job of rec
	// Python stack, set by sample or after a timeout; nil if no Python code runs, or the stack is unknown
	stack callStack
}

// taskOf returns the task of the active record with the ticket t, if the function fits accepts the record.
func (r *activeRequests) taskOf(t exchange.Ticket, fits func(*C.core_record) bool) (found task, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.record(t)
	if rec == nil || !fits(rec) {
		return found, false
	}
	return r.describe(rec), true
}

// describe returns a task for a record; the caller must hold r.mu.
func (r *activeRequests) describe(rec *C.core_record) task {
	data := unsafe.Slice((*byte)(unsafe.Pointer(rec.req.data)), int(rec.req.cap))
	text := func(s C.core_span) string { return printable(data[s.off : s.off+s.len]) }
	m := &r.app.mounts[rec.req.mount]
	t := task{
		job:    job{rec, rec.serial},
		ticket: int(rec.ticket),
		since:  uint64(rec.req.since_ns),
		line:   fmt.Sprintf("%s %s %s", text(rec.req.method), text(rec.req.target), http1.Version(rec.req.version)),
		name:   m.Name,
		mount:  m.Index,
		run:    cmp.Or[mode](kinds[m.Kind].mode, r.app.mode),
		addr:   text(rec.req.addr),
		port:   text(rec.req.port),
		log:    int(rec.req.log),
	}
	raw := func(s C.core_span) string { return string(data[s.off : s.off+s.len]) }
	t.about = logfile.About{Client: (&exchange.Peer{Addr: t.addr, Port: t.port}).String(),
		Request: cmp.Or(raw(C.core_request_id(rec)), http1.ShortID(uint64(rec.req.number))), Trace: raw(C.core_trace_id(rec)), User: raw(rec.req.user),
		Host: raw(C.core_host(rec)), Method: raw(rec.req.method), Path: raw(rec.req.path), Handler: m.Name}
	var thread C.int
	t.where = C.core_record_state(number(rec), &thread)
	t.thread = int(thread)
	return t
}

func printable(b []byte) string {
	s := strconv.QuoteToASCII(string(b))
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
}

func (t *task) String() string {
	switch {
	case t.addr == "":
		return t.line
	case t.port == "":
		return t.line + " from " + t.addr
	}
	return t.line + " from " + t.addr + " port " + t.port
}

func (t *task) age() time.Duration {
	var ts unix.Timespec // remains 0 if the clock cannot be read
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts)
	now := uint64(ts.Nano())
	if t.since == 0 || now < t.since { // t.since can be later than now, because it can be from a more precise clock
		return 0
	}
	return time.Duration(now - t.since)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s" }

// If the handler runs on a thread of the pool, the state begins with the text onThread.
const (
	running  = "running on "
	onThread = running + "thread "
)

func (t *task) state() string {
	switch t.where {
	case C.CORE_QUEUED:
		return "queued"
	case C.CORE_AWAITING:
		return "awaits without a thread"
	case C.CORE_RUNNING:
		return running + t.threadName()
	case C.CORE_WAITING:
		return "streaming, waits for " + t.threadName()
	case C.CORE_PARKED:
		return "streaming, waits for the client"
	case C.CORE_OPEN:
		return "WebSocket, idle"
	case C.CORE_MESSAGES:
		return "WebSocket, messages wait for a thread"
	}
	return "answered, being sent"
}

func (t *task) threadName() string {
	if t.thread < 0 {
		return "the asyncio thread"
	}
	return fmt.Sprintf("thread %d", t.thread)
}
