package runtime

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/sites"
)

// retiring waits until the loop of s knows that it retires.
func retiring(t *testing.T, s *testServer) {
	t.Helper()
	eventually(t, "retiring", func() (leaving bool) {
		s.do(func() { leaving = s.loop.sites.Leaving() })
		return leaving
	})
}

func TestRetireClosesWhoIsIdle(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	fresh, idle := s.dial(t), s.dial(t)
	io.WriteString(idle, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.Read(make([]byte, 1000))
	if err := s.Retire(context.Background(), time.Millisecond); err != nil {
		t.Error(err)
	}
	for _, c := range []net.Conn{fresh, idle} {
		if all, err := io.ReadAll(c); err != nil || len(all) > 0 {
			t.Errorf("%q, %v", all, err)
		}
	}
}

// Nothing delays the end for longer than ctx: not an idle client, not a stream,
// and not a loop that a handler keeps.
func TestRetireHasAnEnd(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	defer close(gate)
	for _, inline := range []bool{false, true} {
		in := make(chan struct{}, 1)
		s := serve(t, Config{}, newApp(inline, func(c *call) {
			in <- struct{}{}
			select {
			case <-gate:
			case <-c.gone:
			}
			c.reply(200, "")
		}))
		s.dial(t)
		io.WriteString(s.dial(t), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-in
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if err := s.Retire(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("inline %v: %v", inline, err)
		}
	}
}

// A server that retires may be told to shut down after all.
func TestShutdownWhileRetiring(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	s.dial(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Retire(context.Background(), time.Hour) }()
	retiring(t, s)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	ln, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	s.Accept(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	if n, err := c.Read(make([]byte, 1000)); err != nil || n == 0 {
		t.Error(err)
	}
	s.dial(t) // the first listener is still there
	s.StopAccepting()
	s.do(func() {}) // it closes on the loop
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("still accepts")
	}
	late, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	s.Accept(late)
	if err := late.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a listener that comes too late is not closed: %v", err)
	}
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	path := t.TempDir() + "/s"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Enrol(theirs); err != nil {
		t.Fatal(err)
	}
	io.WriteString(ours, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if all, err := io.ReadAll(ours); err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 204 ") {
		t.Errorf("%q, %v", all, err)
	}
}

// OnMaxRequests is called once, with the request of that number.
func TestWorn(t *testing.T) {
	t.Parallel()
	worn := make(chan struct{}, 10)
	s := serve(t, Config{Sites: sites.Config{MaxRequests: 3, OnMaxRequests: func() { worn <- struct{}{} }}}, newApp(true, demo))
	ask := func(n int) {
		for range n {
			s.talk(t, "OPTIONS * HTTP/1.0\r\n\r\n")
		}
	}
	ask(2)
	if len(worn) > 0 {
		t.Error("called too early")
	}
	ask(1)
	<-worn
	ask(5)
	if len(worn) > 0 {
		t.Error("called again")
	}
}
