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
)

// A handler that holds up the loop cannot hold up the end.
func TestShutdownOfAStuckLoop(t *testing.T) {
	t.Parallel()
	gate, stuck := make(chan struct{}), make(chan struct{})
	a := newApp(true, func(c *call) {
		close(stuck)
		<-gate
		c.reply(200, "")
	})
	s := serve(t, Config{}, a)
	defer close(gate)
	io.WriteString(s.dial(t), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-stuck
	s.dial(t) // on its way to the loop
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
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

// Without connections nothing ticks.
func TestNoTicksWhenIdle(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	s.talk(t, "GET / HTTP/1.0\r\n\r\n")
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	eventually(t, "the clock stops", func() bool { // a tick may have been on its way
		var before, after int64
		s.do(func() { before = s.loop.now() })
		time.Sleep(time.Duration(3 * tickLength))
		s.do(func() { after = s.loop.now() })
		return after == before
	})
}

// TestPing: the loop answers unless an inline handler holds it up.
func TestPing(t *testing.T) {
	t.Parallel()
	inside, release := make(chan bool), make(chan bool)
	a := newApp(true, func(c *call) {
		inside <- true
		<-release
		c.reply(200, "done")
	})
	s := serve(t, Config{}, a)
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	c := s.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a loop that is held up answers: %v", err)
	}
	release <- true
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
}
