package runtime

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/cache"
)

// cachedServer serves f with a rule for all pages.
func cachedServer(t testing.TB, cfg Config, rule cache.Rule, inline bool, f func(*call)) (*testServer, *testApp) {
	t.Helper()
	return cachedOn(t, cfg, rule, newApp(inline, f))
}

func cachedOn(t testing.TB, cfg Config, rule cache.Rule, a *testApp) (*testServer, *testApp) {
	t.Helper()
	c, err := cache.Compile(rule)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 1 << 20
	}
	return serve(t, cfg, a, sites.Mount{Prefix: "/", Cache: c}), a
}

// answers returns the response of a client: Fapws-Cache, status and body.
func (s *testServer) answers(t testing.TB, method, target string, fields ...string) (said string, res *http.Response, body string) {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	return ask(t, c, method, target, fields...)
}

func ask(t testing.TB, c io.ReadWriter, method, target string, fields ...string) (said string, res *http.Response, body string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(fields, ""), "\r\n")); err != nil {
		t.Error(err)
		return
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Error(err)
		return "", &http.Response{Header: http.Header{}}, ""
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return strings.Join(res.Header["Fapws-Cache"], "+"), res, string(text)
}

// say answers with fields.
func (c *call) say(status int, body string, fields ...string) {
	c.part(exchange.Part{Last: true, File: -1, Body: []byte(body), Head: exchange.Head{
		Status: status, Length: int64(len(body)), Type: "text/html; charset=utf-8", Fields: []byte(strings.Join(append(fields, ""), "\r\n"))}})
}

// TestPipelinedHits: pages among other answers keep their order, and one request
// may wait for another of the same connection.
func TestPipelinedHits(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		s, a := cachedServer(t, Config{}, cache.Rule{}, inline, func(c *call) {
			if c.Path == "/later" && !inline {
				time.Sleep(20 * time.Millisecond)
			}
			c.say(200, c.Path+" ", "Cache-Control: max-age=9")
		})
		get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }
		for range 2 {
			got := s.talk(t, get("/a")+get("/later")+get("/later")+get("/a")+get("/b")+get("/a")+"GET /later HTTP/1.0\r\nHost: a\r\n\r\n")
			var bodies string
			r := bufio.NewReader(strings.NewReader(got))
			for {
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					break
				}
				body, _ := io.ReadAll(res.Body)
				bodies += string(body)
			}
			if bodies != "/a /later /later /a /b /a /later " {
				t.Errorf("got %q", bodies)
			}
		}
		eventually(t, "all is given back", a.idle)
	})
}

// herd is a number of clients that ask at the same time.
type herd struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	said   map[string]int
	bodies map[string]int
}

func (s *testServer) herd(t *testing.T, n int, path string, fields ...string) *herd {
	h := &herd{said: map[string]int{}, bodies: map[string]int{}}
	for range n {
		h.wg.Add(1)
		go func() {
			defer h.wg.Done()
			how, res, body := s.answers(t, "GET", path, fields...)
			h.mu.Lock()
			h.said[how]++
			h.bodies[strconv.Itoa(res.StatusCode)+" "+body]++
			h.mu.Unlock()
		}()
	}
	return h
}

func (h *herd) got() string {
	h.wg.Wait()
	return fmt.Sprint(h.said, h.bodies)
}

func (s *testServer) counters(t testing.TB) cache.Counters {
	var st cache.Stats
	eventually(t, "the event loop counts", func() (ok bool) { // a busy machine is late for the time that CacheStats has
		st, ok = s.CacheStats()
		return ok
	})
	return st.Counters
}

// gated is an application whose answers wait until a gate opens.
type gated struct {
	calls atomic.Int32
	open  chan struct{}
}

func newGated() *gated { return &gated{open: make(chan struct{})} }

func (g *gated) wait(c *call) int32 {
	n := g.calls.Add(1)
	select {
	case <-g.open:
	case <-c.gone:
	}
	return n
}

// TestHerdInVain: each request asks for a page that cannot be kept.
func TestHerdInVain(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{"Cache-Control: private", "Set-Cookie: a=b"} {
		g := newGated()
		s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
			n := g.wait(c)
			c.say(200, strconv.Itoa(int(n)), fields)
		})
		h := s.herd(t, 20, "/")
		eventually(t, "all wait", func() bool { return s.counters(t).Waited == 19 })
		close(g.open)
		h.wg.Wait()
		if len(h.bodies) != 20 || h.said["bypass"] != 20 {
			t.Errorf("%s: %v", fields, h.got())
		}
		eventually(t, "all is given back", a.idle)
	}
}

// TestFirstLeaves: waiting requests get the page that was asked for by a client that
// has left. When all leave, the handler hears of it.
func TestFirstLeaves(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		g := newGated()
		cancelled := make(chan struct{})
		s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
			g.calls.Add(1)
			select {
			case <-g.open:
			case <-c.gone:
				close(cancelled)
			}
			c.reply(200, "page")
		})
		first, second := s.dial(t), s.dial(t)
		io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "the handler is called", func() bool { return g.calls.Load() == 1 })
		io.WriteString(second, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		third := s.dial(t)
		io.WriteString(third, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "two wait", func() bool { return s.counters(t).Waited == 2 })
		first.SetLinger(0)
		first.Close()
		second.SetLinger(0)
		second.Close()
		if all {
			third.SetLinger(0)
			third.Close()
			<-cancelled
		} else {
			close(g.open)
			third.CloseWrite()
			got, err := io.ReadAll(third)
			if err != nil || !strings.HasSuffix(string(got), "\r\n\r\npage") || g.calls.Load() != 1 {
				t.Errorf("got %q, %v after %d calls", got, err, g.calls.Load())
			}
		}
		eventually(t, "all is given back", a.idle)
	}
}

// TestSlowFirst: a client that reads slowly does not delay waiting requests.
func TestSlowFirst(t *testing.T) {
	t.Parallel()
	g := newGated()
	s, a := cachedServer(t, Config{CacheSize: 64 << 20}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
		g.wait(c)
		c.stream(100, func(int) string { return strings.Repeat("x", 10000) })
	})
	first := s.dial(t)
	first.SetReadBuffer(32 << 10)
	io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the handler is called", func() bool { return g.calls.Load() == 1 })
	h := s.herd(t, 3, "/")
	eventually(t, "all wait", func() bool { return s.counters(t).Waited == 3 })
	close(g.open)
	h.wg.Wait()
	if h.bodies["200 "+strings.Repeat("x", 1000000)] != 3 {
		t.Errorf("got %.200s", h.got())
	}
	first.CloseWrite()
	if got, err := io.ReadAll(first); err != nil || strings.Count(string(got), "x") != 1000000 {
		t.Errorf("the slow one got %d bytes, %v", len(got), err)
	}
	eventually(t, "all is given back", a.idle)
}

// TestFailures: an answer that breaks off, and one that is overdue, are no pages,
// and waiting requests learn of it.
func TestFailures(t *testing.T) {
	t.Parallel()
	g := newGated()
	s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
		if g.wait(c) == 1 {
			c.part(exchange.Part{File: -1, Body: []byte("half"), Head: exchange.Head{Status: 200, Length: 8}})
			c.part(exchange.Part{File: -1, Last: true, Failed: true})
			return
		}
		c.reply(200, "whole")
	})
	first := s.dial(t)
	io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the handler is called", func() bool { return g.calls.Load() == 1 })
	h := s.herd(t, 5, "/")
	eventually(t, "all wait", func() bool { return s.counters(t).Waited == 5 })
	close(g.open)
	if got, _ := io.ReadAll(first); !strings.HasSuffix(string(got), "half") {
		t.Errorf("got %q", got)
	}
	h.wg.Wait()
	if h.bodies["200 whole"] != 5 {
		t.Errorf("got %s", h.got())
	}
	eventually(t, "all is given back", a.idle)

	end := make(chan struct{})
	s, a = cachedServer(t, Config{Timeout: time.Second}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
		<-end
		c.reply(200, "late")
	})
	h = s.herd(t, 5, "/")
	h.wg.Wait()
	close(end)
	if h.bodies["504 Gateway Timeout\n"] != 5 {
		t.Errorf("got %s", h.got())
	}
	eventually(t, "all is given back", a.idle)
}

// TestRefused: a handler that accepts no more requests leaves no request waiting.
func TestRefused(t *testing.T) {
	t.Parallel()
	g := newGated()
	s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
		g.wait(c)
		c.reply(200, c.Path)
	})
	a.mu.Lock()
	a.limit = 1
	a.mu.Unlock()
	h := s.herd(t, 1, "/one")
	eventually(t, "the handler is called", func() bool { return g.calls.Load() == 1 })
	if _, res, _ := s.answers(t, "GET", "/two"); res.StatusCode != 503 {
		t.Errorf("got %d", res.StatusCode)
	}
	close(g.open)
	h.wg.Wait()
	if _, _, body := s.answers(t, "GET", "/two"); body != "/two" {
		t.Errorf("got %s", body)
	}
	eventually(t, "all is given back", a.idle)
}

// TestHitAllocatesNothing: a page costs the loop no garbage.
func TestHitAllocatesNothing(t *testing.T) {
	s, _ := cachedServer(t, Config{}, cache.Rule{TTL: time.Hour}, true, func(c *call) { c.reply(200, "page") })
	c := s.dial(t)
	request := []byte("GET /page HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	round := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(2000, round); n > eventloop.BatchAllocations {
		t.Errorf("%v allocations for a hit", n)
	}
}

// Pages that need themselves, or each other, end by themselves: an inner request
// never waits for a page that waits for it. One that several need is made once.
func TestPagesThatNeedEachOther(t *testing.T) {
	t.Parallel()
	rule, err := cache.Compile(cache.Rule{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	pool := backend.New(100, func(line string) { t.Error(line) })
	page := func(path, needs string) sites.Mount {
		f := backend.Func(func(w *backend.Response, r *backend.Request) {
			text := "too deep"
			if a, err := r.Sub(r.Context, needs); err == nil {
				text = string(a.Body)
			}
			w.Start(exchange.Head{Status: 200, Length: -1, Type: "text/html; charset=utf-8"})
			w.Write([]byte("(" + text + ")"))
		})
		return sites.Mount{Prefix: path, Handler: pool, Index: pool.Add(f), Cache: rule}
	}
	g := newGated()
	var made atomic.Int32
	parts := newApp(false, func(c *call) {
		made.Add(1)
		g.wait(c)
		c.say(200, "part")
	})
	s := serveBackend(t, Config{CacheSize: 1 << 20}, parts, include, page("/self", "/self"), page("/one", "/two"), page("/two", "/one"),
		page("/a", "/part"), page("/b", "/part"), sites.Mount{Prefix: "/part", Cache: rule})
	var all sync.WaitGroup
	for _, path := range []string{"/self", "/one", "/two", "/self"} {
		all.Go(func() {
			if _, _, body := s.answers(t, "GET", path); !strings.Contains(body, "too deep") {
				t.Errorf("%s: %q", path, body)
			}
		})
	}
	for _, path := range []string{"/a", "/b", "/a", "/b"} {
		all.Go(func() {
			if _, _, body := s.answers(t, "GET", path); body != "(part)" {
				t.Errorf("%s: %q", path, body)
			}
		})
	}
	eventually(t, "all of them wait", func() bool { return s.counters(t).Waited >= 3 })
	close(g.open)
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("the part was made %d times", n)
	}
}
