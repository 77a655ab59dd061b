package runtime

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/source/app"
	"fapws/runtime/source/static"
)

type instant struct {
	app.Interpreter
	body, channel []byte
	server        *Server
	request       []byte
	tickets       []exchange.Ticket
	next          int
}

func (h *instant) of(s *Server)           { h.server = s }
func (h *instant) Deliver(exchange.Input) {}
func (h *instant) Submit(t exchange.Ticket, r *exchange.Request) bool {
	if r.Spool >= 0 {
		unix.Close(r.Spool)
	}
	if bytes.HasPrefix(r.Path, []byte("/panic")) {
		panic("oops")
	}
	if h.channel != nil {
		h.request = bytes.Clone(r.Head)
	}
	h.tickets = append(h.tickets, t)
	return true
}
func (h *instant) Flush()                                                        {}
func (h *instant) Held() bool                                                    { return false }
func (h *instant) Release(*exchange.Part)                                        {}
func (h *instant) Cancel(exchange.Ticket, time.Duration)                         {}
func (h *instant) Attach(*eventloop.Waker)                                       {}
func (h *instant) Explain(exchange.Ticket, time.Duration) (text, details string) { return "", "" }
func (h *instant) Stalled() (exchange.Ticket, time.Duration)                     { return 0, 0 }
func (h *instant) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	return h.server.Dispatcher().Subscribe(x, p, &exchange.Request{Head: h.request}, h.channel)
}
func (h *instant) Next(p *exchange.Part) (t exchange.Ticket, ok bool) {
	if h.next == len(h.tickets) {
		h.tickets, h.next = h.tickets[:0], 0
		return 0, false
	}
	*p = exchange.Part{
		First: true,
		End:   exchange.Complete,
		Body:  h.body,
		Head:  exchange.Head{Status: 200, Length: int64(len(h.body)), Type: "text/html; charset=utf-8"},
	}
	if h.channel != nil {
		p.Head.Then = h
	}
	h.next++
	return h.tickets[h.next-1], true
}

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

// serve starts a server whose application answers all requests with "hello".
func serve(t testing.TB, cfg Config) *testServer {
	t.Helper()
	return start(t, patient(cfg), &instant{body: []byte("hello")}, exchange.Mount{Prefix: "/"})
}

// start starts a server with one site on a free port, and closes the server at the end of the test. The test fails if
// the server has logged a bug.
func start(t testing.TB, cfg Config, h app.Interpreter, mounts ...exchange.Mount) *testServer {
	t.Helper()
	ts := &testServer{log: &logRecorder{}}
	if cfg.Log == nil {
		cfg.Log = ts.log.add
	}
	var err error
	ts.Server = checktest.Try(New(cfg)).Must(t)
	ln, err := conn.Listen("127.0.0.1:0", conn.ListenOptions{})
	checktest.Must(t, err)
	ts.addr = ln.Addr().String()
	if h, ok := h.(interface{ of(*Server) }); ok {
		h.of(ts.Server)
	}
	checktest.Must(t, ts.Serve([]*conn.Listener{ln}, []exchange.Site{{Table: mounts}}, h))
	t.Cleanup(func() {
		ts.Close()
		checktest.Lacks(t, ts.log.String(), "bug:")
	})
	return ts
}

// patient returns cfg with each timeout that is 0 set to an hour, because a busy machine may exceed the defaults.
func patient(cfg Config) Config { return withTimeouts(cfg, time.Hour) }

func settled(cfg Config) Config { return withTimeouts(cfg, 20*time.Second) }

func withTimeouts(cfg Config, timeout time.Duration) Config {
	setDefault(&cfg.Sites.Limits, http1.DefaultLimits)
	setDefault(&cfg.Sites.MaxBodySize, 10<<20)
	setDefault(&cfg.Sites.BodyRate, 500)
	for _, t := range []*time.Duration{&cfg.Sites.HeadTimeout, &cfg.Sites.BodyTimeout, &cfg.Sites.KeepAlive,
		&cfg.WriteTimeout, &cfg.WebSockets.Ping, &cfg.WebSockets.PingTimeout, &cfg.Channels.Heartbeat} {
		setDefault(t, timeout)
	}
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

const patience = checktest.Patience

func (s *testServer) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	return backendtest.Dial(t, s.addr)
}

func (s *testServer) talk(t testing.TB, request string) string {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	checktest.Try(io.WriteString(c, request)).Must(t)
	got, err := io.ReadAll(c)
	checktest.Needf(t, err == nil || errors.Is(err, unix.ECONNRESET), "after %q: %v", got, err)
	return string(got)
}

var eventually = checktest.Eventually

func (s *testServer) gone(t testing.TB) {
	t.Helper()
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}

func openFiles(t testing.TB) int {
	t.Helper()
	return len(checktest.Try(os.ReadDir("/proc/self/fd")).Must(t))
}

func mustPrefixes(list ...string) (out []netip.Prefix) {
	for _, one := range list {
		out = append(out, netip.MustParsePrefix(one))
	}
	return out
}

func mustRules(t testing.TB, o exchange.Rules) *exchange.Rules {
	t.Helper()
	return checktest.Try(exchange.NewRules(o)).Must(t)
}

func tree(t testing.TB, contents map[string]string) []exchange.Mount {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		checktest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		checktest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	files := checktest.Try(static.New(static.Options{Root: dir, Index: []string{"index.html"}})).Must(t)
	t.Cleanup(func() { files.Close() })
	return []exchange.Mount{{Prefix: "/s/", Source: static.NewSource(files, false)}}
}

func pattern(n int) []byte {
	b := make([]byte, 0, n+16)
	for i := 0; len(b) < n; i += 16 {
		b = fmt.Appendf(b, "%015x\n", i)
	}
	return b[:n]
}

func slowly(t *testing.T, s *testServer) *net.TCPConn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	c := checktest.Try(d.Dial("tcp", s.addr)).Must(t)
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func readBody(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		_, err := io.ReadFull(r, one)
		checktest.Mustf(t, err, "in a head, after %q", head)
		head = append(head, one[0])
	}
	var n int
	if i := bytes.Index(head, []byte("Content-Length: ")); i < 0 {
		t.Fatalf("no Content-Length in %q", head)
	} else {
		fmt.Sscan(string(head[i+16:]), &n)
	}
	body := make([]byte, n)
	k, err := io.ReadFull(r, body)
	checktest.Mustf(t, err, "%d of %d bytes", k, n)
	return body
}
