package runtime

import (
	"bufio"
	"context"
	"fapws/runtime/sites"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
)

// moody is an application that does anything with a body that comes in pieces: what,
// says the path.
func moody(c *call) {
	switch c.Path {
	case "/all":
		gatherBody(c)
	case "/echo":
		c.send(c.Body)
		for {
			piece, err := c.receive()
			if err != nil {
				c.end(err != io.EOF)
				return
			}
			c.send(piece)
		}
	case "/some":
		c.receive()
		c.reply(403, "enough")
	case "/begin": // answers, then reads on
		c.send("begun")
		c.all()
		c.end(false)
	case "/fail":
		c.send("begun")
		c.receive()
		c.end(true)
	default:
		c.reply(404, "not here")
	}
}

// Many clients, well-behaved and not, and applications of all kinds: nothing is left,
// nothing is mixed up.
func TestStreamStress(t *testing.T) {
	a := newApp(false, moody)
	s := serve(t, Config{Sites: sites.Config{MaxBodySize: 300_000, BodyTimeout: patience}, Timeout: patience}, a, streams)
	before := openFiles(t)
	until := time.Now().Add(1500 * time.Millisecond)
	var all sync.WaitGroup
	for n := range 24 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(n)))
			for time.Now().Before(until) {
				c, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(patience))
				useMoody(t, r, c.(*net.TCPConn))
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= before })
	a.mu.Lock()
	defer a.mu.Unlock()
	if most := int64(24 * (sites.MaxPiece + 2*exchange.InputCost)); a.maxInput > most {
		t.Errorf("%d bytes of input at once", a.maxInput)
	}
}

// useMoody sends a few requests, and leaves when it likes to.
func useMoody(t *testing.T, r *rand.Rand, c *net.TCPConn) {
	in := bufio.NewReader(c)
	for range 1 + r.IntN(4) {
		path := []string{"/all", "/echo", "/some", "/begin", "/fail", "/none"}[r.IntN(6)]
		body := strings.Repeat(fmt.Sprintf("%08d", r.IntN(1e8)), r.IntN(20_000))
		text := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
		if r.IntN(2) == 0 {
			text = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s", path, chunked(body, 1+r.IntN(9000)+len(body)/50))
		}
		spoilt := r.IntN(8) == 0
		if spoilt { // cut off, or something else in the middle
			at := r.IntN(len(text))
			text = text[:at] + strings.Repeat("?", r.IntN(2)*100)
		}
		sent := make(chan error, 1)
		go func() {
			var err error
			for rest, step := text, 1+r.IntN(100_000); rest != "" && err == nil; {
				n := min(step, len(rest))
				_, err = io.WriteString(c, rest[:n])
				rest = rest[n:]
			}
			sent <- err
		}()
		if spoilt {
			<-sent
			if r.IntN(2) == 0 {
				c.SetLinger(0)
			}
			return
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			<-sent
			return
		}
		got, err := io.ReadAll(resp.Body)
		switch {
		case path == "/fail" && err == nil && len(body) > 0:
			t.Errorf("%s: the answer looks whole", path)
		case path == "/all" && string(got) != "POST/all:"+body, path == "/echo" && string(got) != body:
			t.Errorf("%s: %d bytes, want those of %d; %v", path, len(got), len(body), err)
		}
		if err := <-sent; err != nil {
			t.Errorf("%s: sending: %v", path, err)
		}
		if resp.Close || err != nil {
			return
		}
	}
}

// A server that stops lets bodies come in, and answers them.
func TestStreamShutdown(t *testing.T) {
	t.Parallel()
	a := newApp(false, gatherBody)
	s := serve(t, Config{}, a, streams)
	c := s.dial(t)
	io.WriteString(c, postSized(10)+"hello")
	eventually(t, "it is in flight", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 1 })
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	eventually(t, "it stops", func() bool {
		var leaving bool
		s.do(func() { leaving = s.loop.sites.Draining() })
		return leaving
	})
	io.WriteString(c, "world")
	all, err := io.ReadAll(c)
	if got := bodies(t, string(all)); err != nil || got != "200:POST/:helloworld" || !strings.Contains(string(all), "\r\nConnection: close\r\n") {
		t.Errorf("%q, %v", all, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
