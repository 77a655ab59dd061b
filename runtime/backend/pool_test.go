package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime"
	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/sites"
	"fapws/runtime/waittest"
)

// server is a server of one responder.
type server struct {
	*runtime.Server
	t       *testing.T
	address string
	once    sync.Once
	mu      sync.Mutex
	lines   []string
}

func (s *server) log(line string) {
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
}

func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func serve(t *testing.T, max int, f backend.Func) *server {
	t.Helper()
	s := &server{t: t}
	var err error
	cfg := runtimetest.Config()
	cfg.Sites.MaxBodySize, cfg.Log = 64<<20, func(level logfile.Level, line string) { s.log(level.String() + " " + line) }
	s.Server, err = runtime.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	pool := backend.New(max, s.log)
	ln, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.Addr().String()
	if err := s.Serve([]*conn.Listener{ln}, []sites.Site{{Table: []sites.Mount{{Handler: pool, Index: pool.Add(f)}}}}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// close ends the server; again it does nothing.
func (s *server) close() { s.once.Do(func() { s.Close() }) }

func (s *server) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// talk sends a request and returns everything until the server closes.
func (s *server) talk(request string) string {
	s.t.Helper()
	c := s.dial()
	go io.WriteString(c, request)
	got, err := io.ReadAll(c)
	if err != nil {
		s.t.Fatalf("after %.100q: %v", got, err)
	}
	return string(got)
}

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = waittest.Patience

var eventually = waittest.Eventually

func TestRequest(t *testing.T) {
	s := serve(t, 8, func(w *backend.Response, r *backend.Request) {
		one, err := io.ReadAll(r.Body())
		if err != nil {
			panic(err)
		}
		two, _ := io.ReadAll(r.Body())
		if !bytes.Equal(one, two) || int64(len(one)) != r.Size {
			panic("the body differs when it is read again")
		}
		fmt.Fprintf(w, "%s %s %s %s %s %s %v %d", r.Method(), r.Target(), r.Path, r.Query(), r.Host(), r.Field("x-test"), r.BodyFile() != nil, len(one))
	})
	large := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	for _, test := range []struct{ request, want string }{
		{"GET /a%20b?c=d HTTP/1.1\r\nHost: h:1\r\nX-Test: yes\r\nConnection: close\r\n\r\n", "GET /a%20b?c=d /a b c=d h:1 yes false 0"},
		{"GET http://abs/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET http://abs/ /  abs  false 0"},
		{"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "POST / /    false 5"},
		{"POST / HTTP/1.0\r\nContent-Length: 4194304\r\n\r\n" + large, "POST / /    true 4194304"},
	} {
		if got := s.talk(test.request); !strings.HasSuffix(got, "\r\n\r\n"+test.want) {
			t.Errorf("%.60q: %.300q, want %q", test.request, got, test.want)
		}
	}
}

func TestResponse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	content := strings.Repeat("file content ", 100000)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	head := func(length int64) exchange.Head {
		return exchange.Head{Status: 200, Length: length, Type: "text/html; charset=utf-8", Fields: []byte("X-A: b\r\n")}
	}
	s := serve(t, 8, func(w *backend.Response, r *backend.Request) {
		switch r.Path {
		case "/nothing":
		case "/sized":
			w.Start(head(int64(len(large))))
			io.WriteString(w, large)
		case "/unsized":
			w.Start(head(-1))
			io.WriteString(w, large)
		case "/flushed":
			w.Start(head(-1))
			for i := range 3 {
				fmt.Fprintf(w, "%d,", i)
				w.Flush()
			}
		case "/file":
			f, err := os.Open(file)
			if err != nil {
				panic(err)
			}
			w.Start(head(int64(len(content)) + 7))
			io.WriteString(w, "<<")
			w.File(f, 3, int64(len(content))-3)
			io.WriteString(w, "fil>>\n\n\n"[:8])
		case "/refused":
			w.Refuse(418, "short and stout")
		case "/refused-late":
			w.Refuse(503, "")
			io.WriteString(w, large) // not sent
		case "/fail":
			w.Fail()
		case "/broken":
			w.Start(head(-1))
			io.WriteString(w, "part")
			w.Flush()
			w.Fail()
		case "/panic":
			panic("on purpose")
		case "/panic-started":
			w.Start(head(100))
			io.WriteString(w, "part")
			panic("on purpose")
		case "/panic-sent":
			w.Start(head(-1))
			io.WriteString(w, "part")
			w.Flush()
			panic("on purpose")
		}
	})
	for _, test := range []struct{ path, status, body string }{
		{"/nothing", "200", ""},
		{"/sized", "200", large},
		{"/unsized", "200", large},
		{"/flushed", "200", "0,1,2,"},
		{"/file", "200", "<<" + content[3:] + "fil>>\n\n\n"},
		{"/refused", "418", "short and stout\n"},
		{"/refused-late", "503", "Service Unavailable\n"},
		{"/fail", "502", "Bad Gateway\n"},
		{"/panic", "500", "Internal Server Error\n"},
		{"/panic-started", "500", "Internal Server Error\n"},
	} {
		got := s.talk("GET " + test.path + " HTTP/1.0\r\n\r\n")
		if head, body, _ := strings.Cut(got, "\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 "+test.status) || body != test.body {
			t.Errorf("%s: %.200q and %d bytes, want %s and %d bytes", test.path, got, len(body), test.status, len(test.body))
		}
		c := s.dial()
		io.WriteString(c, "HEAD "+test.path+" HTTP/1.1\r\nHost: x\r\n\r\nGET /refused HTTP/1.0\r\n\r\n")
		all, _ := io.ReadAll(c)
		parts := strings.SplitN(string(all), "\r\n\r\n", 2)
		if !strings.HasPrefix(parts[0], "HTTP/1.1 "+test.status) || len(parts) < 2 || !strings.HasPrefix(parts[1], "HTTP/1.1 418") {
			t.Errorf("HEAD %s: %.300q", test.path, all)
		}
	}
	for _, path := range []string{"/broken", "/panic-sent"} {
		got := s.talk("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if !strings.Contains(got, "4\r\npart\r\n") || strings.HasSuffix(got, "0\r\n\r\n") {
			t.Errorf("%s looks whole: %q", path, got)
		}
	}
	if n := strings.Count(s.logged(), "bug: on purpose"); n != 5 {
		t.Errorf("%d panics are logged, not 5: %s", n, s.logged())
	}
	eventually(t, "files are closed", func() bool { return !holds(file) })
}

// holds says whether this process has the file open.
func holds(name string) bool {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to == name {
			return true
		}
	}
	return false
}

// Pipelined requests of a connection run side by side, three at most, and their responses keep their order.
func TestPipelining(t *testing.T) {
	const most = sites.MaxAhead + 1
	var running atomic.Int32
	release := make(chan struct{})
	s := serve(t, 32, func(w *backend.Response, r *backend.Request) {
		if n := running.Add(1); n > most {
			t.Errorf("%d pipelined requests run at the same time", n)
		}
		<-release
		defer running.Add(-1)
		n, _ := strconv.Atoi(r.Path[1:])
		fmt.Fprintf(w, "<%d>", n)
		io.WriteString(w, strings.Repeat("x", n*10000))
	})
	var requests string
	for i := range 16 {
		requests += fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	c := s.dial()
	go io.WriteString(c, requests)
	eventually(t, "three run", func() bool { return running.Load() == most })
	close(release)
	r := bufio.NewReader(c)
	for i := range 16 {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if want := fmt.Sprintf("<%d>", i) + strings.Repeat("x", i*10000); err != nil || string(body) != want {
			t.Fatalf("response %d: %.50q, %v", i, body, err)
		}
	}
}

func TestFull(t *testing.T) {
	release := make(chan struct{})
	var running atomic.Int32
	s := serve(t, 2, func(w *backend.Response, r *backend.Request) {
		running.Add(1)
		<-release
	})
	var waiting []*net.TCPConn
	for range 2 {
		c := s.dial()
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		waiting = append(waiting, c)
	}
	eventually(t, "both run", func() bool { return running.Load() == 2 })
	body := strings.Repeat("x", 300000) // in a file
	for _, request := range []string{"GET / HTTP/1.0\r\n\r\n", "POST / HTTP/1.0\r\nContent-Length: 300000\r\n\r\n" + body} {
		if got := s.talk(request); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After: ") {
			t.Errorf("a third one gets %q", got)
		}
	}
	close(release)
	for _, c := range waiting {
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200") {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got := s.talk("GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("afterwards: %q", got)
	}
}

// A client that does not read holds up its responder, which has no more than a
// bounded part of the response in memory, and ends when the client leaves.
func TestSlowClient(t *testing.T) {
	var written atomic.Int64
	ended := make(chan error, 1)
	s := serve(t, 2, func(w *backend.Response, r *backend.Request) {
		for {
			n, err := w.Write(make([]byte, 100000))
			written.Add(int64(n))
			if err != nil {
				<-r.Context.Done()
				ended <- err
				return
			}
		}
	})
	c := s.dial()
	c.SetReadBuffer(4096)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	last, same := int64(-1), 0
	eventually(t, "the responder waits", func() bool {
		time.Sleep(20 * time.Millisecond)
		now := written.Load()
		if now == last {
			same++
		} else {
			last, same = now, 0
		}
		return same > 10 && now > 0
	})
	if last > 16<<20 { // the kernel takes a few MiB
		t.Errorf("%d bytes were taken for a client that does not read", last)
	}
	c.SetLinger(0)
	c.Close()
	if err := <-ended; !errors.Is(err, backend.ErrGone) {
		t.Error(err)
	}
}

// Whichever side leaves, and whenever: every exchange ends, and gives back what it has.
func TestLeaving(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var running atomic.Int32
	s := serve(t, 64, func(w *backend.Response, r *backend.Request) {
		running.Add(1)
		defer running.Add(-1)
		w.Start(exchange.Head{Status: 200, Length: -1})
		for range 5 {
			io.WriteString(w, strings.Repeat("x", 50000))
			if w.Flush() != nil && r.Path == "/stops" {
				return
			}
			f, err := os.Open(file)
			if err != nil {
				panic(err)
			}
			w.File(f, 0, 1<<20)
			time.Sleep(time.Millisecond)
		}
	})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			c, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(c, []string{"GET /stops HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"}[i%2])
			io.CopyN(io.Discard, c, int64(i%8)*200000)
			if i%3 == 0 {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		})
	}
	wg.Wait()
	eventually(t, "all have ended", func() bool { return running.Load() == 0 && !holds(file) })
	if text := s.logged(); strings.Contains(text, "bug:") {
		t.Error(text)
	}
}

// A server that stops lets responders end, up to its time.
func TestStopping(t *testing.T) {
	for _, patient := range []bool{true, false} {
		begun, release := make(chan struct{}), make(chan struct{})
		ended := make(chan error, 1)
		s := serve(t, 8, func(w *backend.Response, r *backend.Request) {
			close(begun)
			select {
			case <-release:
			case <-r.Context.Done():
			}
			_, err := io.WriteString(w, "done")
			if err == nil {
				err = w.Flush()
			}
			ended <- err
		})
		c := s.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-begun
		within := patience
		if !patient {
			within = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), within)
		stopped := make(chan error)
		go func() { stopped <- s.Shutdown(ctx) }()
		if patient {
			time.Sleep(20 * time.Millisecond)
			close(release)
		}
		err := <-stopped
		cancel()
		got, _ := io.ReadAll(c)
		if patient && (err != nil || !strings.HasSuffix(string(got), "4\r\ndone\r\n0\r\n\r\n")) {
			t.Errorf("patient: %v, %q", err, got)
		}
		if !patient && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not patient: %v", err)
		}
		if err := <-ended; patient != (err == nil) {
			t.Errorf("patient %v: the responder got %v", patient, err)
		}
	}
}

// A responder that outlives its server does not write into a file of others.
func TestOutlives(t *testing.T) {
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := serve(t, 8, func(w *backend.Response, r *backend.Request) {
		close(begun)
		<-release
		io.WriteString(w, "too late")
		w.Flush()
		close(ended)
	})
	io.WriteString(s.dial(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	s.close()
	var files []*os.File
	for i := range 50 { // take the numbers that have become free
		f, err := os.Create(filepath.Join(t.TempDir(), strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	close(release)
	<-ended
	time.Sleep(20 * time.Millisecond) // its last part
	for _, f := range files {
		if info, err := f.Stat(); err != nil || info.Size() != 0 {
			t.Errorf("%s has %d bytes, %v", f.Name(), info.Size(), err)
		}
		f.Close()
	}
}

// Sub without a server returns an error.
func TestSubWithoutServer(t *testing.T) {
	if _, err := new(backend.Request).Sub(context.Background(), "/"); err == nil {
		t.Error("no error")
	}
}
