package runtime

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// onLoop returns the connections whose transfers the loop writes.
func (s *testServer) onLoop() (list []*conn) {
	s.do(func() {
		for _, c := range s.loop.wheel.all() {
			if c.transfer != nil && c.transfer.onLoop {
				list = append(list, c)
			}
		}
	})
	return list
}

// Answers in memory that wait for slow clients need no descriptors, and arrive whole.
func TestSlowClientsOfMemory(t *testing.T) {
	const n, size = 20, 8 << 20
	body := string(pattern(size))
	modes(t, func(t *testing.T, inline bool) {
		s := serve(t, Config{}, newApp(inline, func(c *call) { c.reply(200, body) }))
		var clients []*net.TCPConn
		for range n {
			clients = append(clients, slowly(t, s))
		}
		eventually(t, "all are connected", func() bool { return s.loop.live.Load() == n })
		before := openFiles(t)
		for _, c := range clients {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		}
		eventually(t, "all wait for room", func() bool { return len(s.onLoop()) == n })
		if now := openFiles(t); now > before {
			t.Errorf("%d descriptors for %d clients", now-before, n)
		}
		for _, c := range clients {
			all, err := io.ReadAll(c)
			if _, got, _ := strings.Cut(string(all), "\r\n\r\n"); err != nil || got != body {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	})
}

// A client that shuts down its side while it is sent an answer gets all of it.
func TestHalfClosedWhileWaitingForRoom(t *testing.T) {
	body := string(pattern(8 << 20))
	a := newApp(false, func(c *call) { c.reply(200, body) })
	s := serve(t, Config{}, a)
	c := slowly(t, s)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it waits for room", func() bool { return len(s.onLoop()) == 1 })
	c.CloseWrite()
	eventually(t, "the loop has seen it", func() bool { return len(s.onLoop()) == 0 })
	all, err := io.ReadAll(c)
	if _, got, _ := strings.Cut(string(all), "\r\n\r\n"); err != nil || got != body {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}

// The time for which the loop could not write is not the client's: it is looked at first whether there is room.
func TestRoomExpires(t *testing.T) {
	s := serve(t, Config{WriteTimeout: time.Hour}, newApp(true, func(c *call) { c.reply(200, string(pattern(8<<20))) }))
	client := slowly(t, s)
	io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	eventually(t, "it waits for room", func() bool { return len(s.onLoop()) == 1 })
	c := s.onLoop()[0]
	s.do(func() {
		if _, err := io.ReadFull(client, make([]byte, 32<<10)); err != nil { // the loop sees nothing of it
			t.Error(err)
		}
		c.transfer.progress -= int64(2 * time.Hour)
		if !s.loop.roomExpired(c) || c.transfer == nil || c.transfer.progress != s.loop.now {
			t.Error("the room was not used")
		}
	})
}
