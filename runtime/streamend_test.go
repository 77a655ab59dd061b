package runtime

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

// One that resets the connection is noticed although it is not read from.
func TestStreamCancelWhenPaused(t *testing.T) {
	t.Parallel()
	a := newApp(false, func(c *call) {
		<-c.gone
		c.end(true)
	})
	s := serve(t, Config{Sites: sites.Config{MaxBodySize: -1}}, a, streams)
	c := s.dial(t)
	go io.WriteString(c, postSized(64<<20)+strings.Repeat("x", 64<<20))
	eventually(t, "it is paused", func() bool { return s.stopped() == 1 })
	c.SetLinger(0)
	c.Close()
	eventually(t, "all released", a.idle)
}

// A response that ends before the request: the client gets it, although it goes
// on sending, and the connection closes.
func TestStreamEarlyResponse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		f    func(*call)
		want string
	}{
		{"at once", func(c *call) { c.reply(403, "no") }, "403:no"},
		{"in pieces", func(c *call) {
			c.send("n")
			c.send("o")
			c.part(exchange.Part{Last: true, File: -1})
		}, "1\r\nn\r\n1\r\no\r\n0\r\n\r\n"},
		{"after some", func(c *call) {
			c.receive()
			c.reply(403, "no")
		}, "403:no"},
		{"the server's page", func(c *call) {
			c.part(exchange.Part{File: -1, Head: exchange.Head{Status: 403, Instead: exchange.Refusal}})
			<-c.gone
			c.end(true)
		}, "403:Forbidden\n"},
		{"a large one", func(c *call) { c.reply(403, strings.Repeat("no", 500000)) }, "403:" + strings.Repeat("no", 500000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newApp(false, test.f)
			s := serve(t, Config{}, a, streams)
			c := s.dial(t)
			sent := make(chan error)
			go func() {
				io.WriteString(c, postSized(4<<20))
				for range 40 {
					if _, err := c.Write(make([]byte, 100000)); err != nil {
						sent <- err
						return
					}
				}
				_, err := io.WriteString(c, lastRequest)
				sent <- err
			}()
			all, err := io.ReadAll(c)
			if test.name == "in pieces" {
				if !strings.HasSuffix(string(all), "\r\n\r\n"+test.want) {
					t.Errorf("%q, %v", all, err)
				}
			} else if got := bodies(t, string(all)); err != nil || got != test.want {
				t.Errorf("%.100q, %v", got, err)
			}
			if err := <-sent; err != nil {
				t.Errorf("sending what is not wanted: %v", err)
			}
			if test.name != "in pieces" && !strings.Contains(string(all), "\r\nConnection: close\r\n") {
				t.Errorf("the client is not told that the connection closes: %.300q", all)
			}
			eventually(t, "all released", a.idle)
		})
	}
}

// The server does not wait for it indefinitely, nor when it stops.
func TestStreamSkipEnds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"late", "stop", "stopped before"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := make(chan bool)
			a := newApp(false, func(c *call) {
				<-gate
				c.reply(404, "no")
			})
			cfg := Config{Sites: sites.Config{BodyTimeout: time.Hour}}
			if name == "late" {
				cfg.Sites.BodyTimeout = time.Millisecond
			}
			s := serve(t, cfg, a, streams)
			c := s.dial(t)
			io.WriteString(c, postSized(10)+"x")
			eventually(t, "it is in flight", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })
			if name == "stopped before" {
				s.do(s.loop.drain)
			}
			close(gate)
			r := bufio.NewReader(c)
			head := make([]byte, 12)
			if _, err := io.ReadFull(r, head); err != nil || string(head) != "HTTP/1.1 404" {
				if name != "late" || string(head) != "HTTP/1.1 408" {
					t.Fatalf("%q, %v", head, err)
				}
			}
			if name == "stop" {
				s.do(s.loop.drain)
			}
			if _, err := io.ReadAll(r); err != nil {
				t.Error(err)
			}
			eventually(t, "all released", a.idle)
		})
	}
}
