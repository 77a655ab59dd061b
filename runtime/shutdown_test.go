package runtime

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

func TestShutdownHasAnEnd(t *testing.T) {
	t.Parallel()
	cancelled := make(chan struct{})
	a := newApp(false, func(c *call) {
		if c.Path == "/big" {
			c.reply(200, string(make([]byte, 20<<20)))
			return
		}
		<-c.gone
		close(cancelled)
		c.reply(200, "too late")
	})
	s := serve(t, Config{}, a)
	stuck, slow := s.dial(t), slowly(t, s)
	io.WriteString(stuck, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	io.WriteString(slow, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "a transfer", func() bool {
		var n int
		s.do(func() { n = len(s.transfers()) })
		return n == 1
	})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	<-cancelled
	if all, _ := io.ReadAll(stuck); len(all) > 0 {
		t.Errorf("stuck: %q", all)
	}
	if all, err := io.ReadAll(slow); err == nil && len(all) >= 20<<20 {
		t.Error("the slow one got everything")
	}
	if n := s.loop.live.Load(); n != 0 {
		t.Errorf("%d connections open", n)
	}
}

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

func TestServeOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	if err := s.Serve(nil, nil, newApp(true, demo)); err == nil {
		t.Error("a second Serve is accepted")
	}
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	s, err := New(settled(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Do(func() {})
	s.Configure(settled(Config{Sites: sites.Config{MaxBodySize: 3}, Log: func(logfile.Level, string) {}}))
	ts := &testServer{Server: s}
	ts.listen(t, newApp(true, demo))
	if got := bodies(t, ts.talk(t, "POST /echo HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd")); got != "413:input body too big\n" {
		t.Errorf("got %q", got)
	}
}

// TestShutdownAfterLastInput: the end of the last WebSocket reaches its handler, for which a batch has to end, before the server has ended.
func TestShutdownAfterLastInput(t *testing.T) {
	t.Parallel()
	a := newTalkApp()
	told, passedOn := false, make(chan bool, 1)
	a.ends = func(one *talk, _ uint16, _ string) {
		told = true
		one.end(false)
	}
	var s *testServer
	a.flushed = func() {
		if !told {
			return
		}
		told = false
		select {
		case <-s.loop.drained:
			passedOn <- false
		default:
			passedOn <- true
		}
	}
	s = serveTalks(t, Config{}, a)
	c := s.socket(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	if _, _, err := c.Receive(); err == nil {
		t.Error("a message instead of the end")
	}
	c.Conn.Close()
	if !<-passedOn {
		t.Error("the server had ended when its application was told of the last input")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
