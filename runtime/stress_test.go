package runtime

import (
	"fapws/runtime/conn"
	"fapws/runtime/sites"
	"io"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
)

// mixture is a request that a client may send, whole or not.
var mixture = []string{
	"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat("x", 4096),
	"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET /big/300000 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /stream/20 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /nowhere\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}

// Nothing is left after many clients of every kind: descriptors,
// goroutines, connections, exchanges, parts.
func TestStorm(t *testing.T) {
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, demo)
		a.limit = 50
		s := serve(t, Config{Accept: conn.AcceptConfig{MaxClients: 20}, Sites: sites.Config{SpoolSize: 1000}}, a)
		fds, goroutines := openFiles(t), goruntime.NumGoroutine()
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 1))
				for range 150 {
					c := s.dial(t)
					var text string
					for range 1 + rnd.IntN(6) {
						text += mixture[rnd.IntN(len(mixture))]
					}
					whole := rnd.IntN(3) > 0
					if !whole {
						text = text[:rnd.IntN(len(text))]
					}
					io.WriteString(c, text)
					switch rnd.IntN(4) {
					case 0:
						c.SetLinger(0) // RST
					case 1:
						c.CloseWrite()
						io.Copy(io.Discard, c)
					case 2:
						if whole {
							io.CopyN(io.Discard, c, int64(rnd.IntN(100)))
						}
					}
					c.Close()
				}
			})
		}
		clients.Wait()
		s.talk(t, "GET /a HTTP/1.0\r\n\r\n") // those that were not accepted yet come before this one
		eventually(t, "connections gone", func() bool { return s.loop.live.Load() == 0 })
		eventually(t, "all released", a.idle)
		eventually(t, "nothing in the wheel", func() (empty bool) { // a late connection is there for a moment
			s.do(func() { empty = len(s.loop.all()) == 0 })
			return empty
		})
		eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= fds })
		eventually(t, "as many goroutines as before", func() bool { return goruntime.NumGoroutine() <= goroutines })
		s.do(func() {
			if n := s.loop.sites.Active(); n != 0 {
				t.Errorf("%d exchanges have not ended", n)
			}
			if !s.loop.app.Idle() {
				t.Error("a ticket is taken")
			}
			if n := len(s.transfers()); n != 0 {
				t.Errorf("%d transfers", n)
			}
		})
		if text := s.talk(t, "GET /a HTTP/1.0\r\n\r\n"); !strings.HasSuffix(text, "GET /a?") {
			t.Errorf("afterwards: %q", text)
		}
	})
}

// A panic of the application's side costs the connection, not the server.
func TestPanicOnTheLoop(t *testing.T) {
	t.Parallel()
	a := newApp(true, func(c *call) {
		if c.Path == "/panic" {
			panic("oops")
		}
		demo(c)
	})
	rec := &logRecorder{}
	ts := start(t, settled(Config{Log: rec.add}), a, mounted())
	for range 3 {
		if got := ts.talk(t, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
			t.Errorf("got %q", got)
		}
		if got := ts.talk(t, "GET /a HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "GET /a?") {
			t.Errorf("then %q", got)
		}
	}
	if n := strings.Count(rec.String(), "bug: oops"); n != 3 {
		t.Errorf("%d log lines: %s", n, rec)
	}
}
