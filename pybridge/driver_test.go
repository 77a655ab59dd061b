package pybridge

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"

	"golang.org/x/sys/unix"
)

// The tests play the role of the event loop: they submit requests and collect parts, without a socket. A process has
// one interpreter and one mode, so TestMain runs the tests twice, the second time in a child with
// FAPWS_TEST_MODE=inline.

var loop *driver

var applications = []Application{
	{Script: "testdata/app.py"},
	{Script: "testdata/sockets.py", Import: true},
	{Script: "testdata/asgi.py", Import: true},
	{Script: "testdata/asgi.py", Import: true, Object: "app"},
	{Script: "./testdata/sockets.py", Import: true},
}

const socketApp, asyncPaths, asgiApp, socketsAgain = 1, 2, 3, 4

func TestApplicationNamedTwiceIsLoadedOnce(t *testing.T) {
	a, b := loop.app.Apps[socketApp].Table[0], loop.app.Apps[socketsAgain].Table[0]
	checktest.Truef(t, a.Index == b.Index && a.callable == b.callable,
		"the same script has mounts %d and %d", a.Index, b.Index)
}

func init() { goruntime.LockOSThread() }

const generous = checktest.Patience

func TestMain(m *testing.M) {
	// A panic is visible even while a test captures standard error.
	if err := debug.SetCrashOutput(os.Stderr, debug.CrashOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	inline := os.Getenv("FAPWS_TEST_MODE") == "inline"
	os.Setenv(packageVariable, "../contrib")
	app, err := Load(Options{Apps: applications, Loop: cmp.Or(os.Getenv("FAPWS_TEST_LOOP"), "auto")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	threads := 4
	if inline {
		threads = 0
	}
	handler, err := app.Start(RunConfig{Threads: threads, Queue: 64, Publish: said.events, Purge: said.purge,
		ChangeGroup: said.change})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := app.Startup("auto"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	loop = newDriver(app, handler)
	result := make(chan int)
	go func() {
		code := m.Run()
		if !app.Shutdown(generous) {
			fmt.Fprintln(os.Stderr, "the asyncio thread did not end")
			code = 1
		}
		if left := app.Stop(time.Second); left != 0 {
			fmt.Fprintln(os.Stderr, left, "threads did not end")
			code = 1
		}
		loop.near.SetReadDeadline(time.Unix(1, 0))
		<-loop.deaf
		close(loop.calls)
		result <- code
	}()
	if inline {
		handler.Attach(loop.far)
		for f := range loop.calls {
			f()
		}
	} else {
		attached := make(chan struct{})
		go func() { // This thread belongs to Python, not to the event loop.
			loop.do(func() { handler.Attach(loop.far) }) // A test may flush at the same time.
			close(attached)
		}()
		<-attached
		app.Serve()
		for range loop.calls {
		}
	}
	code := <-result
	if c := app.Close(); c != 0 {
		fmt.Fprintln(os.Stderr, "Close returned", c)
		code = 1
	}
	if code == 0 && !inline {
		code = runInline()
	}
	os.Exit(code)
}

func runInline() int {
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Env = append(os.Environ(), "FAPWS_TEST_MODE=inline")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "inline:", err)
		return 1
	}
	return 0
}

type driver struct {
	// The function change, if not nil, is called for each request before Submit.
	change func(*exchange.Request)

	app   *App
	h     *Handler
	calls chan func()
	deaf  chan struct{}
	near  *os.File
	far   *eventloop.Waker
	// In threads mode, one goroutine at a time acts as the event loop.
	mu      sync.Mutex
	waiting map[exchange.Ticket]*response
	next    exchange.Ticket
	spare   []exchange.Ticket
}

type response struct {
	head   exchange.Head
	fields string
	reason string
	behind string
	body   bytes.Buffer
	failed bool
	// If the field hold is true, the test releases no parts, as if the client did not read.
	hold   bool
	held   []exchange.Part
	done   chan struct{}
	ticket exchange.Ticket
}

func newDriver(app *App, h *Handler) *driver {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		panic(err)
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK)
	if err != nil {
		panic(err)
	}
	d := &driver{app: app, h: h, calls: make(chan func()), near: os.NewFile(uintptr(event), "wake"),
		far:     &eventloop.Waker{Event: event, State: new(int32), Signals: pair[1]},
		waiting: map[exchange.Ticket]*response{}}
	*d.far.State = eventloop.Asleep
	d.deaf = make(chan struct{})
	go d.listen()
	return d
}

func (d *driver) listen() {
	defer close(d.deaf)
	buf := make([]byte, 8)
	for {
		if _, err := d.near.Read(buf); err != nil {
			return
		}
		atomic.StoreInt32(d.far.State, eventloop.Asleep)
		d.do(func() {
			d.h.Flush()
			d.drain()
		})
	}
}

func (d *driver) inline() bool { return d.app.mode == inline{} }

func (d *driver) do(f func()) {
	if !d.inline() {
		d.mu.Lock()
		defer d.mu.Unlock()
		f()
		return
	}
	ran := make(chan struct{})
	d.calls <- func() { f(); close(ran) }
	<-ran
}

func (d *driver) drain() {
	var p exchange.Part
	for t, ok := d.h.Next(&p); ok; t, ok = d.h.Next(&p) {
		r := d.waiting[t]
		if p.First {
			r.head, r.fields, r.reason = p.Head, string(p.Head.Fields), string(p.Head.Reason)
		}
		r.body.Write(p.Body)
		if f := p.File; f != nil {
			content := make([]byte, f.Count)
			n, _ := syscall.Pread(f.FD, content, f.Offset)
			r.body.Write(content[:n])
		}
		if p.Trailers != nil {
			r.behind += string(*p.Trailers)
		}
		last := p.Last()
		r.failed = r.failed || p.End == exchange.Incomplete
		if r.hold {
			r.held = append(r.held, p)
		} else {
			d.h.Release(&p)
		}
		if last {
			delete(d.waiting, r.ticket)
			if !r.hold {
				d.spare = append(d.spare, r.ticket)
			}
			close(r.done)
		}
	}
}

var testPeer = &exchange.Peer{Addr: "192.0.2.1", Port: "4711", ServerName: "127.0.0.1", ServerPort: "8888"}

func (d *driver) send(t testing.TB, line, body string, fields ...string) *response {
	t.Helper()
	return d.submit(t, &response{}, line, body, fields...)
}

func (d *driver) submit(t testing.TB, r *response, line, body string, fields ...string) *response {
	t.Helper()
	return d.submitAs(t, r, func(path string) (int, int) { return d.route(t, path) }, line, body, fields...)
}

func (d *driver) submitAs(t testing.TB, r *response, route func(path string) (mount, script int), line, body string,
	fields ...string) *response {
	t.Helper()
	size := int64(len(body))
	head, parsed := parseHead(t, line, size, fields...)
	path := http1.DecodePath(nil, parsed.Path.In(head))
	r.done = make(chan struct{})
	d.do(func() {
		if n := len(d.spare); n > 0 {
			r.ticket, d.spare = d.spare[n-1], d.spare[:n-1]
		} else {
			r.ticket = d.next
			d.next++
		}
		mount, script := route(string(path))
		d.waiting[r.ticket] = r
		request := &exchange.Request{Mount: mount, Head: head, Parsed: parsed, Path: path,
			Script: script, Body: []byte(body), Spool: -1, Size: size, Peer: testPeer}
		if d.change != nil {
			d.change(request)
		}
		if !d.h.Submit(r.ticket, request) {
			t.Error("refused")
			return
		}
		d.h.Flush()
		d.drain()
	})
	return r
}

func parseHead(t testing.TB, line string, size int64, fields ...string) ([]byte, *http1.Request) {
	t.Helper()
	head := line + " HTTP/1.1\r\nHost: example.org\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if size > 0 {
		head += fmt.Sprintf("Content-Length: %d\r\n", size)
	}
	head += "\r\n"
	parsed := new(http1.Request)
	n, err := parsed.Parse([]byte(head), &http1.DefaultLimits)
	checktest.Needf(t, err == nil && n == len(head), "parse %q: %v", head, err)
	return []byte(head), parsed
}

func (d *driver) route(t testing.TB, path string) (mount, script int) {
	for i, m := range d.app.Apps[0].Table {
		if strings.HasPrefix(path, m.Prefix) && (len(path) == len(m.Prefix) || path[len(m.Prefix)] == '/') {
			return i, len(m.Prefix)
		}
	}
	t.Fatalf("no mount for %s", path)
	return
}

func (d *driver) get(t testing.TB, target string) *response {
	t.Helper()
	r := d.send(t, "GET "+target, "")
	<-r.done
	return r
}

// Under go test -json, package testing replaces os.Stderr by os.Stdout before the first test.
var stderr = os.Stderr

func captured(t *testing.T, f func()) string {
	t.Helper()
	if os.Stderr != stderr {
		os.Stderr = stderr
	}
	r, w, err := os.Pipe()
	checktest.Must(t, err)
	saved, _ := syscall.Dup(2)
	syscall.Dup2(int(w.Fd()), 2)
	w.Close()
	text := make(chan string)
	go func() {
		var b strings.Builder
		for s := bufio.NewReader(r); ; {
			line, err := s.ReadString('\n')
			b.WriteString(line)
			if err != nil {
				text <- b.String()
				return
			}
		}
	}()
	f()
	syscall.Dup2(saved, 2)
	syscall.Close(saved)
	defer r.Close()
	return <-text
}
