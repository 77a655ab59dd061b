package runtime

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/http1"
	"fapws/runtime/source/cache"
)

// versioned is an application whose page has a version, and that answers 304 to clients that have it.
type versioned struct {
	version atomic.Int32
	whole   atomic.Int32 // answers with a body
	same    atomic.Int32 // answers 304
	control string
}

func (v *versioned) answer(c *call) {
	n := strconv.Itoa(int(v.version.Load()))
	tag := `"` + n + `"`
	fields := []string{"ETag: " + tag, "X-Version: " + n, "Cache-Control: " + v.control}
	if c.Fields["if-none-match"] == tag {
		v.same.Add(1)
		c.say(304, "", fields...)
		return
	}
	v.whole.Add(1)
	c.say(200, "version "+n, fields...)
}

// stalePage serves a page that is good for a second, and returns when it is so no more.
func stalePage(t *testing.T, f func(*call)) (*testServer, *testApp) {
	t.Helper()
	var first atomic.Bool
	s, a := cachedServer(t, Config{}, cache.Rule{}, false, func(c *call) {
		if first.CompareAndSwap(false, true) {
			c.say(200, "page", `ETag: "1"`, "Cache-Control: max-age=1")
			return
		}
		f(c)
	})
	keep := s.dial(t) // so that the clock goes on
	s.answers(t, "GET", "/")
	stale := s.loop.conns.Start.Add(time.Duration(s.loopTime(t))).Add(time.Second)
	eventually(t, "it is stale", func() bool { return s.loop.conns.Start.Add(time.Duration(s.loopTime(t))).After(stale) })
	keep.Close()
	return s, a
}

// loopTime returns loop.now.
func (s *testServer) loopTime(t testing.TB) int64 {
	t.Helper()
	now := make(chan int64, 1)
	s.loop.post(func() { now <- s.loop.now() })
	return <-now
}

// TestHerdRevalidatesInVain: what a 304 makes one client's, or is to be confirmed each time, the others ask for by
// themselves.
func TestHerdRevalidatesInVain(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{"Cache-Control: no-cache", "Set-Cookie: a=b", "Cache-Control: no-store"} {
		g := newGated()
		s, a := stalePage(t, func(c *call) {
			n := g.wait(c)
			if c.Fields["if-none-match"] == `"1"` {
				c.say(304, "", fields)
			} else {
				c.say(200, strconv.Itoa(int(n)), "Cache-Control: no-store")
			}
		})
		h := s.herd(t, 20, "/")
		eventually(t, "all wait", func() bool { return s.counters(t).Waited == 19 })
		close(g.open)
		h.wg.Wait()
		if n := g.calls.Load(); n != 20 {
			t.Errorf("%s: %d calls: %s", fields, n, h.got())
		}
		eventually(t, "all is given back", a.idle)
	}
}

// TestRevalidatingFirstLeaves: the page is confirmed for waiting requests when the client that asked first has left, and
// the handler learns when all clients have left.
func TestRevalidatingFirstLeaves(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		g := newGated()
		cancelled := make(chan struct{})
		s, a := stalePage(t, func(c *call) {
			g.calls.Add(1)
			select {
			case <-g.open:
			case <-c.gone:
				close(cancelled)
			}
			c.say(304, "", "Cache-Control: max-age=60")
		})
		first, second := s.dial(t), s.dial(t)
		io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		eventually(t, "the handler is called", func() bool { return g.calls.Load() == 1 })
		io.WriteString(second, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		eventually(t, "one waits", func() bool { return s.counters(t).Waited == 1 })
		first.SetLinger(0)
		first.Close()
		if all {
			second.SetLinger(0)
			second.Close()
			<-cancelled
		} else {
			close(g.open)
			if got, err := io.ReadAll(second); err != nil || !strings.HasSuffix(string(got), "\r\n\r\npage") {
				t.Errorf("got %q, %v", got, err)
			}
		}
		eventually(t, "all is given back", a.idle)
	}
}

// TestPurgedWhileRevalidated: a page that is purged while it is asked for is not kept, though requests from before
// may get it.
func TestPurgedWhileRevalidated(t *testing.T) {
	t.Parallel()
	g := newGated()
	s, a := stalePage(t, func(c *call) {
		if c.Fields["if-none-match"] != "" {
			g.wait(c)
			c.say(304, "", "Cache-Control: max-age=60")
			return
		}
		c.say(200, "another", "Cache-Control: max-age=60")
	})
	h := s.herd(t, 1, "/")
	eventually(t, "the handler is called", func() bool { return g.calls.Load() == 1 })
	if n := s.PurgeNow(cache.Pattern{Path: "/"}); n != 1 {
		t.Errorf("%d went", n)
	}
	after := s.herd(t, 1, "/")
	if got := after.got(); got != "map[miss:1] map[200 another:1]" {
		t.Errorf("after the purge: %s", got)
	}
	close(g.open)
	if got := h.got(); got != "map[revalidated:1] map[200 page:1]" {
		t.Errorf("before the purge: %s", got)
	}
	if said, _, body := s.answers(t, "GET", "/"); said != "hit" || body != "another" {
		t.Errorf("then %s %s", said, body)
	}
	eventually(t, "all is given back", a.idle)
}

// TestRevalidationIsNeverOld: no client gets a version of a page that says no-cache that was out of date before it
// asked, however many ask and whatever leaves meanwhile.
func TestRevalidationIsNeverOld(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		v := &versioned{control: "no-cache"}
		s, a := cachedServer(t, Config{CacheSize: 64 << 10}, cache.Rule{}, inline, v.answer)
		var wg sync.WaitGroup
		for client := range 8 {
			wg.Go(func() {
				for i := range 60 {
					switch {
					case client == 0:
						v.version.Add(1)
					case client == 1 && i%3 == 0:
						s.Purge(cache.Pattern{Path: "*"})
					case client == 2:
						c := s.dial(t)
						io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
						c.SetLinger(0)
						c.Close()
						continue
					}
					before := v.version.Load()
					said, res, body := s.answers(t, "GET", "/")
					n, err := strconv.Atoi(strings.TrimPrefix(body, "version "))
					if err != nil || int32(n) < before || res.Header.Get("X-Version") != strconv.Itoa(n) {
						t.Errorf("%s %d %q %v, when it was version %d", said, res.StatusCode, body, res.Header, before)
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "all is given back", a.idle)
	})
}

// TestConditionsThatDoNotFit: a head that has no room for conditions is sent without them.
func TestConditionsThatDoNotFit(t *testing.T) {
	t.Parallel()
	v := &versioned{control: "no-cache"}
	cfg := Config{}
	cfg.Sites.Limits = http1.DefaultLimits
	cfg.Sites.Limits.Fields = 3
	s, _ := cachedServer(t, cfg, cache.Rule{}, false, v.answer)
	for i, tt := range []struct{ field, want string }{{"", "miss"}, {"", "revalidated"}, {"X: 1", "expired"}} {
		if said, res, body := s.answers(t, "GET", "/", tt.field); said != tt.want || res.StatusCode != 200 || body != "version 0" {
			t.Errorf("%d: %s %d %q", i, said, res.StatusCode, body)
		}
	}
}
