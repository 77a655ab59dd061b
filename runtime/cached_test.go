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
		Status: status, Length: int64(len(body)), Type: exchange.TypeHTML, Fields: []byte(strings.Join(append(fields, ""), "\r\n"))}})
}

func TestCached(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		var calls atomic.Int32
		s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, inline, func(c *call) {
			n := strconv.Itoa(int(calls.Add(1)))
			switch c.Path {
			case "/cookie":
				c.say(200, n, "Set-Cookie: a=b")
			case "/pieces":
				c.stream(5, func(i int) string { return strings.Repeat(strconv.Itoa(i), 10000) })
			case "/big":
				c.reply(200, strings.Repeat("x", 2<<20))
			default:
				c.say(200, n+c.Method, `ETag: "v1"`, "X-Own: 1")
			}
		})
		for _, tt := range []struct {
			method, target, field string
			said, body            string
			status                int
		}{
			{"GET", "/a", "", "miss", "1GET", 200},
			{"GET", "/a", "", "hit", "1GET", 200},
			{"HEAD", "/a", "", "hit", "", 200},
			{"GET", "/a?q", "", "miss", "2GET", 200},
			{"GET", "/a", `If-None-Match: "v1"`, "hit", "", 304},
			{"GET", "/a", `Range: bytes=0-1`, "hit", "1G", 206},
			{"HEAD", "/a", `Range: bytes=0-1`, "hit", "", 200},
			{"GET", "/a", `Range: bytes=4-`, "", "Range Not Satisfiable\n", 416},
			{"GET", "/a", "If-None-Match: \"v1\"\r\nRange: bytes=4-", "hit", "", 304},
			{"GET", "/b", `If-None-Match: "v1"`, "miss", "3GET", 200},
			{"GET", "/b", "", "hit", "3GET", 200},
			{"GET", "/b", "Cookie: a=b", "bypass", "4GET", 200},
			{"GET", "/b", "Authorization: x", "bypass", "5GET", 200},
			{"POST", "/b", "", "", "6POST", 200},
			{"GET", "/b", "", "miss", "7GET", 200}, // RFC 9111 §4.4
			{"GET", "/cookie", "", "bypass", "8", 200},
			{"GET", "/cookie", "", "bypass", "9", 200},
			{"HEAD", "/c", "", "bypass", "", 200},
			{"GET", "/d", "Range: bytes=0-1", "bypass", "11GET", 200},
		} {
			said, res, body := s.answers(t, tt.method, tt.target, tt.field)
			if said != tt.said || body != tt.body || res.StatusCode != tt.status {
				t.Errorf("%s %s %s: %s %d %q, want %s %d %q", tt.method, tt.target, tt.field, said, res.StatusCode, body, tt.said, tt.status, tt.body)
			}
			if age := res.Header["Age"]; (len(age) == 1) != (tt.said == "hit") {
				t.Errorf("%s %s: Age %v", tt.method, tt.target, age)
			}
		}
		if _, res, _ := s.answers(t, "GET", "/a"); res.Header.Get("X-Own") != "1" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.ContentLength != 4 {
			t.Errorf("%+v", res)
		}
		for _, said := range []string{"miss", "hit"} {
			got, _, body := s.answers(t, "GET", "/pieces")
			if got != said || len(body) != 50000 || body[40000] != '4' {
				t.Errorf("pieces: %s, %d bytes", got, len(body))
			}
		}
		for range 2 {
			if said, _, body := s.answers(t, "GET", "/big"); said != "bypass" || len(body) != 2<<20 {
				t.Errorf("big: %s, %d bytes", said, len(body))
			}
		}
		eventually(t, "all is given back", a.idle)
	})
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

// TestHerd: one call of the handler for all requests that arrive meanwhile.
func TestHerd(t *testing.T) {
	t.Parallel()
	g := newGated()
	s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
		g.wait(c)
		c.reply(200, strings.Repeat("page", 20000))
	})
	h := s.herd(t, 100, "/")
	eventually(t, "all wait", func() bool { return s.counters(t).Waited == 99 })
	close(g.open)
	if got, want := h.got(), fmt.Sprint(map[string]int{"hit": 99, "miss": 1}, map[string]int{"200 " + strings.Repeat("page", 20000): 100}); got != want {
		t.Errorf("got %.300s", got)
	}
	if n := g.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	eventually(t, "all is given back", a.idle)
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

// TestHerdOfLanguages: waiting requests get the page that matches them.
func TestHerdOfLanguages(t *testing.T) {
	t.Parallel()
	g := newGated()
	var mu sync.Mutex
	var asked []string
	s, a := cachedServer(t, Config{}, cache.Rule{TTL: time.Minute}, false, func(c *call) {
		g.wait(c)
		mu.Lock()
		asked = append(asked, c.Fields["accept-language"])
		mu.Unlock()
		c.say(200, c.Fields["accept-language"], "Vary: Accept-Language")
	})
	de, en := s.herd(t, 10, "/", "Accept-Language: de"), s.herd(t, 10, "/", "Accept-Language: en")
	eventually(t, "all wait", func() bool { return s.counters(t).Waited == 19 })
	close(g.open)
	if got := de.got() + en.got(); strings.Count(got, "200 de:10]") != 1 || strings.Count(got, "200 en:10]") != 1 {
		t.Errorf("got %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 2 {
		t.Errorf("asked for %v", asked)
	}
	eventually(t, "all is given back", a.idle)
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

// TestStaleAnswers: a stale page is sent at once while one call fetches a new
// one; instead of an error, too.
func TestStaleAnswers(t *testing.T) {
	t.Parallel()
	var status, calls atomic.Int32
	status.Store(200)
	s, a := cachedServer(t, Config{}, cache.Rule{}, false, func(c *call) {
		n := calls.Add(1)
		control := "Cache-Control: max-age=1, stale-while-revalidate=60"
		if c.Path == "/error" {
			control = "Cache-Control: max-age=1, stale-if-error=60"
		}
		c.say(int(status.Load()), "page "+strconv.Itoa(int(n)), control)
	})
	keep := s.dial(t) // so that the clock goes on
	defer keep.Close()
	said, _, body := s.answers(t, "GET", "/")
	if said != "miss" || body != "page 1" {
		t.Errorf("%s %s", said, body)
	}
	if said, _, body = s.answers(t, "GET", "/error"); said != "miss" || body != "page 2" {
		t.Errorf("%s %s", said, body)
	}
	eventually(t, "it is stale", func() bool {
		said, _, body = s.answers(t, "GET", "/")
		return said != "hit"
	})
	if said != "stale" || body != "page 1" {
		t.Errorf("%s %s", said, body)
	}
	eventually(t, "it is new", func() bool {
		said, _, body = s.answers(t, "GET", "/")
		return said == "hit"
	})
	if body != "page 3" {
		t.Errorf("%s %s", said, body)
	}
	status.Store(503)
	eventually(t, "it has expired", func() bool {
		said, _, body = s.answers(t, "GET", "/error")
		return said != "hit"
	})
	if said != "stale" || body != "page 2" {
		t.Errorf("%s %s", said, body)
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

// TestPurges: a page that a handler purges is removed before its response arrives.
func TestPurges(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		var self atomic.Pointer[testServer]
		var told atomic.Int32
		s, _ := cachedServer(t, Config{Purged: func(p cache.Pattern) { told.Add(1) }}, cache.Rule{TTL: time.Minute}, inline, func(c *call) {
			if c.Path == "/purge" {
				self.Load().Purge(cache.Pattern{Path: "/p*"})
			}
			c.say(200, c.Path)
		})
		self.Store(s)
		for _, want := range []string{"miss", "hit"} {
			if said, _, _ := s.answers(t, "GET", "/page"); said != want {
				t.Errorf("got %s, want %s", said, want)
			}
		}
		s.answers(t, "POST", "/purge")
		if said, _, _ := s.answers(t, "GET", "/page"); said != "miss" {
			t.Errorf("got %s after a purge", said)
		}
		if n := s.PurgeNow(cache.Pattern{Path: "*"}); n != 1 {
			t.Errorf("%d went", n)
		}
		if st, ok := s.CacheStats(); !ok || st.Entries != 0 || st.Hits != 1 || st.Misses != 2 || told.Load() != 1 {
			t.Errorf("%+v, told %d", st, told.Load())
		}
	})
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
			w.Start(exchange.Head{Status: 200, Length: -1, Type: exchange.TypeHTML})
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
