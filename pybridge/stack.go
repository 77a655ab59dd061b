package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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

// withGIL calls f, which needs the GIL, on a separate goroutine, after the functions of earlier calls have returned.
// The channel is closed after f has returned, so that a caller can stop waiting if a handler holds the GIL. If Python
// is ending, f does not run, and the channel is nil. withGIL is safe for concurrent use.
func (h *Handler) withGIL(f func()) <-chan struct{} {
	done := make(chan struct{})
	if !h.gilCalls.Add(func() { defer close(done); f() }) {
		return nil
	}
	return done
}

func runGILCalls(calls []func()) {
	for _, f := range calls {
		f()
	}
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
	name   string
	run    mode
	where  C.int
	thread int
	jobs   C.ulong // number of the job (core_jobs_of); 0 means any job of rec
	// Python stack, set by sample or after a timeout; nil if no Python code runs, or the stack is unknown
	stack callStack
}

// describe returns a task for a record; the caller must hold h.mu.
func (h *Handler) describe(rec *C.core_record) task {
	data := unsafe.Slice((*byte)(unsafe.Pointer(rec.req.data)), int(rec.req.cap))
	text := func(s C.core_span) string { return printable(data[s.off : s.off+s.len]) }
	m := &h.app.mounts[rec.req.mount]
	t := task{
		job:    job{rec, rec.serial},
		ticket: int(rec.ticket),
		since:  uint64(rec.req.since_ns),
		line:   fmt.Sprintf("%s %s %s", text(rec.req.method), text(rec.req.target), http1.Version(rec.req.version)),
		name:   m.Name,
		run:    cmp.Or[mode](kinds[m.Kind].mode, h.app.mode),
		addr:   text(rec.req.addr),
		port:   text(rec.req.port),
		log:    int(rec.req.log),
	}
	raw := func(s C.core_span) string { return string(data[s.off : s.off+s.len]) }
	t.about = logfile.About{Client: (&exchange.Peer{Addr: t.addr, Port: t.port}).String(),
		Request: raw(C.core_request_id(rec)), Trace: raw(C.core_trace_id(rec)), User: raw(rec.req.user),
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

func (h *Handler) tasks() (list []task) {
	h.mu.Lock()
	for _, rec := range h.records {
		if rec != nil {
			list = append(list, h.describe(rec))
		}
	}
	h.mu.Unlock()
	slices.SortFunc(list, func(a, b task) int { return cmp.Compare(a.since, b.since) })
	return list
}

var errNoGIL = errors.New("a handler holds the GIL in C code")

// Stack writes a line with the state of each active request, and the Python stack of each request that a thread or task
// runs. Stack is safe for concurrent use.
//
// If Stack cannot take the GIL within the duration wait, Stack writes the stacks of all Python threads as far as they
// are available without the GIL, and returns an error.
func (h *Handler) Stack(w io.Writer, wait time.Duration) error {
	out := new(bytes.Buffer)
	list, ok := h.sample(wait)
	for i := range list {
		t := &list[i]
		fmt.Fprintf(out, "exchange %d, %s, %s, handler %s, %s\n", t.ticket, t, seconds(t.age()), t.name, t.state())
		out.WriteString(t.stack.text())
	}
	if len(list) == 0 {
		fmt.Fprintln(out, "no active requests")
	}
	if !ok {
		fmt.Fprintf(out, "%v, or Python is ending: the stacks of all threads, as far as they can be seen without it\n",
			errNoGIL)
		out.Write(dumpStacks())
	}
	_, err := out.WriteTo(w)
	if err == nil && !ok {
		err = errNoGIL
	}
	return err
}

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
		return "its task awaits"
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

// endsWithin reports whether done is closed within the duration d. With d = 0, it reports whether done is closed.
func endsWithin(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done: // If both channels were ready, the next select would choose at random.
		return true
	default:
	}
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

type callStack []frame

type frame struct {
	file     string
	line     int
	function string
}

// sample returns all active requests, beginning with the oldest, and the stacks of the requests that a thread or task
// runs. The result ok is false if the stacks are missing, because a handler holds the GIL, or Python is ending.
func (h *Handler) sample(wait time.Duration) (list []task, ok bool) {
	const tasks = 256
	found := map[job]callStack{}
	done := h.withGIL(func() {
		seen := make([]C.core_snapshot, C.CORE_MAX_THREADS+tasks)
		for i := range int(C.asgi_sample_stacks(&seen[0], C.int(len(seen)))) {
			found[job{seen[i].rec, seen[i].serial}] = takeStack(&seen[i])
		}
	})
	ok = done != nil && endsWithin(done, wait)
	list = h.tasks()
	if ok {
		for i := range list {
			list[i].stack = found[list[i].job]
		}
	}
	return list, ok
}

func takeStack(s *C.core_snapshot) callStack {
	defer C.free(unsafe.Pointer(s.stack))
	stack := frames(C.GoBytes(unsafe.Pointer(s.stack), C.int(s.stack_len)))
	// The first frames of the asyncio thread do not belong to the application.
	for i, f := range stack {
		if strings.HasSuffix(f.file, "/fapws/_async.py") && i > 0 {
			stack = stack[:i]
			break
		}
	}
	return stack
}

func frames(text []byte) (list []frame) {
	fields := bytes.Split(text, []byte{0})
	for ; len(fields) > 3 || len(fields) == 3 && len(fields[2]) > 0; fields = fields[3:] {
		line, _ := strconv.Atoi(string(fields[1]))
		list = append(list, frame{string(fields[0]), line, string(fields[2])})
	}
	return list
}

func (s callStack) text() string {
	var out strings.Builder
	for i := len(s) - 1; i >= 0; {
		f := s[i]
		fmt.Fprintf(&out, "  File %s, line %d, in %s\n", strconv.Quote(f.file), f.line, f.function)
		if text := sourceLine(f.file, f.line); text != "" {
			fmt.Fprintf(&out, "    %s\n", text)
		}
		first := i
		for i--; i >= 0 && s[i] == f; i-- {
		}
		if more := first - i - 1; more > 0 { // repeated frames of a recursive function
			fmt.Fprintf(&out, "  [the same %d times more]\n", more)
		}
	}
	return out.String()
}

// sourceLine returns a line of a source file, without Python's linecache, which would need the GIL.
func sourceLine(name string, line int) string {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for i := 1; s.Scan(); i++ {
		if i == line {
			return strings.TrimSpace(strings.ToValidUTF8(s.Text(), "?"))
		}
	}
	return ""
}

var dumping sync.Mutex

// dumpStacks does not need the GIL, and is safe for concurrent use.
func dumpStacks() []byte {
	dumping.Lock()
	defer dumping.Unlock()
	fd := int(C.core_dump_stacks())
	text := make([]byte, 1<<20)
	n, err := unix.Pread(fd, text, 0)
	if err != nil {
		return []byte("the stacks are not available without the GIL\n")
	}
	return text[:n]
}

type ProfileStack struct {
	Frames []string `json:"frames"` // each as "function (file)", beginning with the outermost frame
	N      int      `json:"n"`
}

var errProfiles = errors.New("a profile is being recorded already")

// Profile makes a thread of fapws.contrib.profile sample the stacks of all Python threads, a hundred times a second,
// for the duration d. Profile is safe for concurrent use, but returns an error while a profile is being recorded.
func (h *Handler) Profile(ctx context.Context, d time.Duration) (stacks []ProfileStack, err error) {
	began := -1
	if err := h.whenFree(ctx, func() { began = int(C.core_profile_begin(C.double(d.Seconds()))) }); err != nil {
		return nil, err
	}
	switch began {
	case 0:
		return nil, errProfiles
	case 1:
	default:
		return nil, errors.New("the profile cannot be recorded; the error log says why")
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var text string
	err = h.whenFree(ctx, func() {
		if all := C.core_profile_stacks(); all != nil {
			text = C.GoString(all)
			C.free(unsafe.Pointer(all))
		}
	})
	if err == nil {
		err = json.Unmarshal([]byte(text), &stacks)
	}
	return stacks, err
}

// whenFree runs f, which needs the GIL, and returns when f has returned, or when ctx has ended; f can then still run
// later.
func (h *Handler) whenFree(ctx context.Context, f func()) error {
	done := h.withGIL(f)
	if done == nil {
		return errors.New("the server is stopping")
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errNoGIL
	}
}
