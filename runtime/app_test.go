package runtime

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/http2"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/app"
	"fapws/runtime/waittest"

	"golang.org/x/sys/unix"
)

// call is a request as an application sees it, and its response.
type call struct {
	app    *testApp
	ticket exchange.Ticket

	Method, Path, Query string
	Script              string
	Body                string
	Spooled             bool
	Fields              map[string]string // by names in lower case
	Head                string
	More                bool
	inputs              []input       // that were delivered and not yet received
	arrived             chan struct{} // told when there are more
	gone                chan struct{} // closed by Cancel
	started             bool
	ended               bool
}

// app is an application for tests: f answers calls, on the loop or on a
// goroutine each.
type testApp struct {
	f      func(*call)
	inline bool
	limit  int // maximum number of active calls, 0: no limit

	waker *eventloop.Waker

	mu       sync.Mutex
	waiting  []*call
	calls    map[exchange.Ticket]*call
	parts    []exchange.Part
	tokens   map[uintptr]chan struct{} // closed when the part is released
	nextRef  uintptr
	unacked  int64
	released int
	made     int
	overdue  []overdueCall
	runs     atomic.Pointer[run] // what runs inline, or nil
	input    int64               // bytes delivered and not received, each with exchange.InputCost more
	maxInput int64               // the most there ever were
}

// run is a call that runs inline.
type run struct {
	ticket exchange.Ticket
	since  time.Time
}

// input is a copy of an exchange.Input.
type input struct {
	Data string
	Last bool
}

func (i input) cost() int64 { return int64(len(i.Data)) + exchange.InputCost }

// overdueCall has the arguments of a call of Overdue.
type overdueCall struct {
	path string
	took time.Duration
}

func newApp(inline bool, f func(*call)) *testApp {
	return &testApp{f: f, inline: inline, calls: map[exchange.Ticket]*call{}, tokens: map[uintptr]chan struct{}{}}
}

func (a *testApp) Attach(w *eventloop.Waker, _ func(exchange.Origin) exchange.Subrequester) {
	a.waker = w
}

func (a *testApp) Submit(r *exchange.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit > 0 && len(a.calls) >= a.limit {
		if r.Spool >= 0 {
			unix.Close(r.Spool)
		}
		if r.Socket != 0 {
			unix.Close(r.Socket)
		}
		return false
	}
	c := &call{
		app:     a,
		ticket:  r.Ticket,
		Method:  string(r.Parsed.Method.In(r.Head)),
		Path:    string(r.Path[r.Script:]),
		Script:  string(r.Path[:r.Script]),
		Query:   string(r.Parsed.Query.In(r.Head)),
		Body:    string(r.Body),
		Fields:  map[string]string{},
		More:    r.More,
		arrived: make(chan struct{}, 1),
		Head:    string(r.Head),
		gone:    make(chan struct{}),
	}
	for _, f := range r.Parsed.Fields {
		c.Fields[strings.ToLower(string(f.Name.In(r.Head)))] = string(f.Value.In(r.Head))
	}
	if r.Spool >= 0 {
		f := os.NewFile(uintptr(r.Spool), "spool")
		data, err := io.ReadAll(io.NewSectionReader(f, 0, r.Size))
		if err != nil {
			panic(err)
		}
		f.Close()
		c.Body, c.Spooled = string(data), true
	}
	if a.calls[r.Ticket] != nil {
		panic("a ticket is used twice at once")
	}
	a.calls[r.Ticket] = c
	a.waiting = append(a.waiting, c)
	return true
}

func (a *testApp) Flush() {
	a.mu.Lock()
	calls := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	for _, c := range calls {
		if a.inline {
			a.runs.Store(&run{c.ticket, time.Now()})
			a.f(c)
			a.runs.Store(nil)
		} else {
			go a.f(c)
		}
	}
}

func (a *testApp) Next(p *exchange.Part) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.parts) == 0 {
		return false
	}
	*p = a.parts[0]
	a.parts = a.parts[1:]
	return true
}

func (a *testApp) Release(p *exchange.Part) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.released++
	a.unacked -= int64(len(p.Body))
	if p.File >= 0 {
		unix.Close(p.File)
	}
	if t := p.Head.Tunnel; t != nil && t.Upstream != nil {
		t.Upstream.Close()
	}
	done := a.tokens[p.Ref]
	if done == nil {
		panic("a part is released twice")
	}
	delete(a.tokens, p.Ref)
	if p.Last {
		for _, in := range a.calls[p.Ticket].inputs {
			a.input -= in.cost()
		}
		delete(a.calls, p.Ticket)
	}
	close(done)
}

func (a *testApp) Cancel(t exchange.Ticket, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.calls[t]
	if took > 0 && c != nil {
		a.overdue = append(a.overdue, overdueCall{c.Path, took})
	}
	if took == 0 || c != nil && !isClosed(c.gone) {
		close(c.gone)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (a *testApp) Stalled() (exchange.Ticket, time.Duration) {
	if r := a.runs.Load(); r != nil {
		return r.ticket, time.Since(r.since)
	}
	return 0, 0
}

func (a *testApp) Signalled() {}

// idle reports whether no call is active and every part was released.
func (a *testApp) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls) == 0 && a.made == a.released && a.unacked == 0 && a.input == 0
}

// part hands a part to the loop and returns a channel that is closed when it
// is released.
func (c *call) part(p exchange.Part) chan struct{} {
	a := c.app
	p.Ticket = c.ticket
	a.mu.Lock()
	if c.ended {
		panic("a part after the last one")
	}
	if !p.Interim {
		p.First, c.started = !c.started, true
	}
	c.ended = p.Last
	a.nextRef++
	p.Ref = a.nextRef
	done := make(chan struct{})
	a.tokens[p.Ref] = done
	a.parts = append(a.parts, p)
	a.made++
	a.unacked += int64(len(p.Body))
	a.mu.Unlock()
	if !a.inline {
		a.waker.Wake()
	}
	return done
}

// reply answers at once.
func (c *call) reply(status int, body string) {
	c.part(exchange.Part{Last: true, File: -1, Body: []byte(body),
		Head: exchange.Head{Status: status, Length: int64(len(body)), Type: "text/html; charset=utf-8"}})
}

// stream answers with pieces of unknown total length, each when the one before
// was taken, and stops when the client leaves.
func (c *call) stream(n int, piece func(int) string) {
	for i := range n {
		done := c.part(exchange.Part{File: -1, Body: []byte(piece(i)), Head: exchange.Head{Status: 200, Length: -1}})
		if !c.app.inline {
			select {
			case <-done:
			case <-c.gone:
				c.part(exchange.Part{Last: true, Failed: true, File: -1})
				return
			}
		}
	}
	c.part(exchange.Part{Last: true, File: -1})
}

// demo is an application that most tests share.
func demo(c *call) {
	switch word, arg, _ := strings.Cut(strings.TrimPrefix(c.Path, "/"), "/"); word {
	case "echo":
		c.reply(200, c.Body)
	case "big":
		n, _ := strconv.Atoi(arg)
		c.reply(200, strings.Repeat("0123456789abcdef", n/16))
	case "stream":
		n, _ := strconv.Atoi(arg)
		c.stream(n, func(i int) string { return strconv.Itoa(i) + "\n" })
	case "status":
		n, _ := strconv.Atoi(arg)
		c.reply(n, "")
	case "later":
		if !c.app.inline {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-c.gone:
			}
		}
		c.reply(200, "later "+c.Query)
	default:
		c.reply(200, c.Method+" "+c.Path+"?"+c.Query)
	}
}

// modes runs a test with the application on the loop and beside it.
func modes(t *testing.T, f func(t *testing.T, inline bool)) {
	t.Run("inline", func(t *testing.T) { f(t, true) })
	t.Run("threads", func(t *testing.T) { f(t, false) })
}

// testServer is a server with one listener, which ends with the test.
type testServer struct {
	*Server
	addr string
	log  *logRecorder
}

type logRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *logRecorder) add(level logfile.Level, line string) {
	r.mu.Lock()
	r.lines = append(r.lines, level.String()+" "+line)
	r.mu.Unlock()
}

func (r *logRecorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// serve starts a server that waits for its clients. Without mounts, all requests go to a.
func serve(t testing.TB, cfg Config, a *testApp, mounts ...sites.Mount) *testServer {
	t.Helper()
	return start(t, patient(cfg), a, mounted(mounts...))
}

// start starts a server of sites on a free port. At the end of the test it closes, and must not have logged a bug.
func start(t testing.TB, cfg Config, h app.Handler, served ...sites.Site) *testServer {
	t.Helper()
	ts := &testServer{log: &logRecorder{}}
	if cfg.Log == nil {
		cfg.Log = ts.log.add
	}
	var err error
	if ts.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	ts.addr = ln.Addr().String()
	if err := ts.Serve([]*conn.Listener{ln}, served, h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ts.Close()
		if text := ts.log.String(); strings.Contains(text, "bug:") {
			t.Error(text)
		}
	})
	return ts
}

// mounted returns a site with mounts of an application, in their order, or one for all paths.
func mounted(mounts ...sites.Mount) sites.Site {
	if mounts == nil {
		mounts = []sites.Mount{{Prefix: "/"}}
	}
	for i := range mounts {
		mounts[i].Index = i
	}
	return sites.Site{Table: mounts}
}

// patient is cfg with long times where it has none: on a busy machine, clients of a test may take longer than the defaults allow.
func patient(cfg Config) Config {
	for _, timeout := range []*time.Duration{&cfg.Sites.HeadTimeout, &cfg.Sites.BodyTimeout, &cfg.Sites.KeepAlive, &cfg.WriteTimeout, &cfg.WebSockets.Ping,
		&cfg.WebSockets.PingTimeout, &cfg.Channels.Heartbeat} {
		setDefault(timeout, time.Hour)
	}
	return settled(cfg)
}

// settled is cfg with usual limits where it has none.
func settled(cfg Config) Config {
	setDefault(&cfg.Sites.Limits, http1.DefaultLimits)
	setDefault(&cfg.Sites.MaxBodySize, 10<<20)
	setDefault(&cfg.Sites.BodyRate, 500)
	for _, timeout := range []*time.Duration{&cfg.Sites.HeadTimeout, &cfg.Sites.BodyTimeout, &cfg.Sites.KeepAlive, &cfg.WriteTimeout, &cfg.WebSockets.Ping,
		&cfg.WebSockets.PingTimeout, &cfg.Channels.Heartbeat} {
		setDefault(timeout, 20*time.Second)
	}
	setDefault(&cfg.HTTP2, http2.Config{MaxStreams: 128, MaxResets: 1000, MaxWindow: 256 << 10, ConnectionWindow: 8 << 20})
	setDefault(&cfg.WebSockets.MaxSize, 1<<20)
	setDefault(&cfg.Channels.Subscribers, 100000)
	setDefault(&cfg.Channels.PerAddress, 256)
	setDefault(&cfg.Channels.Buffer, 64<<10)
	setDefault(&cfg.Channels.History, 100)
	setDefault(&cfg.Channels.Retry, 3*time.Second)
	setDefault(&cfg.Channels.MaxEvent, 64<<10)
	return cfg
}

func setDefault[T comparable](v *T, def T) { *v = cmp.Or(*v, def) }

// patience ends a test that hangs, and nothing else: a machine may be many times slower
// than this one.
const patience = waittest.Patience

// dial connects to s, with a deadline that ends a test that hangs.
func (s *testServer) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// talk sends raw bytes and returns everything until the server closes.
func (s *testServer) talk(t testing.TB, request string) string {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("after %q: %v", got, err)
	}
	return string(got)
}

var eventually = waittest.Eventually
