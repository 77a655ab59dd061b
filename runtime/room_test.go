package runtime

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/sites"
)

// all returns the connections that speak HTTP/1, in no particular order.
func (l *loop) all() (list []*sites.Conn) {
	for _, c := range l.conns.All() {
		if own, ok := c.Protocol().(*sites.Conn); ok {
			list = append(list, own)
		}
	}
	return list
}

// waiting returns the connections with transfers that wait for room.
func (s *testServer) waiting() (list []*sites.Conn) {
	s.do(func() {
		for _, c := range s.loop.all() {
			if c.AwaitsRoom() {
				list = append(list, c)
			}
		}
	})
	return list
}

// transfers returns the connections with transfers. It must be called on the loop.
func (s *testServer) transfers() (list []*sites.Conn) {
	for _, c := range s.loop.all() {
		if c.Writing() {
			list = append(list, c)
		}
	}
	return list
}

// The pieces of a file that is not in memory are written beside the loop, and arrive in order, also to clients that shut down
// their side; those that leave leave nothing behind.
func TestColdFiles(t *testing.T) {
	t.Parallel()
	body := pattern(8 << 20)
	a := newApp(false, func(c *call) { c.reply(200, "small") })
	s := serve(t, Config{}, a, tree(t, map[string]string{"large": string(body)})...)
	asked := 0
	s.do(func() {
		s.loop.conns.Cached = func(int, int64) bool {
			asked++
			return asked%3 == 0 // some pieces are in memory
		}
	})
	for _, end := range []string{"next", "half", "leave"} {
		c := slowly(t, s)
		io.WriteString(c, "GET /s/large HTTP/1.1\r\nHost: x\r\n\r\nGET /app HTTP/1.1\r\nHost: x\r\n\r\n")
		switch end {
		case "leave":
			io.ReadFull(c, make([]byte, 1<<20))
			c.SetLinger(0)
			c.Close()
			continue
		case "half":
			eventually(t, "it waits", func() bool { return len(s.waiting()) == 1 })
			c.CloseWrite()
		}
		if got := readBody(t, c); !bytes.Equal(got, body) {
			t.Errorf("%s: wrong bytes", end)
		}
		if end == "next" {
			if got := readBody(t, c); string(got) != "small" {
				t.Errorf("then %q", got)
			}
		}
		c.Close()
	}
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	c := slowly(t, s)
	io.WriteString(c, "GET /s/large HTTP/1.1\r\nHost: x\r\n\r\n")
	io.ReadFull(c, make([]byte, 1<<20))
	s.do(s.loop.closeAll)
	if all, err := io.ReadAll(c); err == nil && len(all) >= 7<<20 {
		t.Error("it got everything")
	}
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}

// A client that shuts down its side while it is sent an answer gets all of it, and needs no goroutine for that.
func TestHalfClosedWhileWaitingForRoom(t *testing.T) {
	body := string(pattern(8 << 20))
	a := newApp(false, func(c *call) { c.reply(200, body) })
	s := serve(t, Config{}, a)
	c := slowly(t, s)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it waits for room", func() bool { return len(s.waiting()) == 1 })
	files := openFiles(t)
	c.CloseWrite()
	eventually(t, "the loop has seen it", func() (seen bool) {
		s.do(func() {
			list := s.transfers()
			seen = len(list) == 1 && list[0].State() == sites.StateClosed
		})
		return seen
	})
	if now := openFiles(t); now > files {
		t.Errorf("%d descriptors more", now-files)
	}
	all, err := io.ReadAll(c)
	if _, got, _ := strings.Cut(string(all), "\r\n\r\n"); err != nil || got != body {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}

// A connection that was closed while its client reads nothing does not stay for longer than the timeout.
func TestClosedConnectionExpires(t *testing.T) {
	a := newApp(false, func(c *call) { c.reply(200, string(pattern(8<<20))) })
	s := serve(t, Config{WriteTimeout: 100 * time.Millisecond}, a)
	files := openFiles(t)
	c := slowly(t, s)
	eventually(t, "it is connected", func() bool { return s.loop.live.Load() == 1 })
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it waits for room, or has done so", func() bool { return len(s.waiting()) == 1 || s.loop.live.Load() == 0 })
	c.CloseWrite()
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	if all, err := io.ReadAll(c); err == nil {
		t.Errorf("%d bytes look whole", len(all))
	}
	c.Close()
	eventually(t, "descriptors closed", func() bool { return openFiles(t) <= files })
}

// A connection that the poller refuses is closed, whatever it waits for.
func TestUnwatchedConnection(t *testing.T) {
	a := newApp(false, func(c *call) { c.reply(200, string(pattern(8<<20))) })
	s := serve(t, Config{WriteTimeout: time.Hour}, a)
	files := openFiles(t)
	for _, waits := range []bool{false, true} {
		client := slowly(t, s)
		eventually(t, "it is connected", func() bool { return s.loop.live.Load() == 1 })
		if waits {
			io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			eventually(t, "it waits for room", func() bool { return len(s.waiting()) == 1 })
		}
		s.do(func() {
			c := s.loop.all()[0]
			c.Unwatch() // as the event loop does
			c.Ready(eventloop.Unwatched)
		})
		client.Close()
		eventually(t, "it is closed", func() bool { return s.loop.live.Load() == 0 && openFiles(t) <= files })
	}
	eventually(t, "all released", a.idle)
}
