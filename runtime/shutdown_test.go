package runtime

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	a := newApp(false, func(c *call) {
		<-gate
		c.reply(200, c.Path+c.Body)
	})
	s := serve(t, Config{}, a)
	idle, fresh, half := s.dial(t), s.dial(t), s.dial(t)
	busy, queued, upload := s.dial(t), s.dial(t), s.dial(t)
	io.WriteString(half, "GET / HT")
	io.WriteString(busy, "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
	io.WriteString(queued, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
	io.WriteString(upload, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
	io.WriteString(idle, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.Read(make([]byte, 1000))
	eventually(t, "in flight", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.calls) == 3 })
	eventually(t, "open", func() bool {
		states := map[sites.State]int{}
		s.do(func() {
			for _, c := range s.loop.all() {
				states[c.State()]++
			}
		})
		return states[sites.StateNew] == 1 && states[sites.StateHead] == 1 && states[sites.StateBody] == 1 && states[sites.StateReady] == 3
	})

	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	for name, c := range map[string]net.Conn{"idle": idle, "fresh": fresh, "half": half} {
		if all, err := io.ReadAll(c); err != nil || len(all) > 0 {
			t.Errorf("%s: %q, %v", name, all, err)
		}
	}
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("still accepts")
	}
	io.WriteString(upload, "cd")
	close(gate)
	for _, test := range []struct {
		c    net.Conn
		want string
	}{{busy, "200:/busy"}, {queued, "200:/1 200:/2"}, {upload, "200:/uploadabcd"}} {
		all, err := io.ReadAll(test.c)
		if got := bodies(t, string(all)); err != nil || got != test.want {
			t.Errorf("got %q, %v, want %q", got, err, test.want)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

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

// A response that began before the end closes its connection all the same.
func TestShutdownDuringResponses(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	a := newApp(false, func(c *call) {
		c.part(exchange.Part{File: -1, Body: []byte("begun"), Head: exchange.Head{Status: 200, Length: 10}})
		<-more
		c.part(exchange.Part{File: -1, Body: []byte("ended"), Last: true})
	})
	s := serve(t, Config{}, a, tree(t, map[string]string{"large": string(pattern(6 << 20))})...)
	stream, file := s.dial(t), slowly(t, s)
	io.WriteString(stream, "GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
	io.WriteString(file, "GET /s/large HTTP/1.1\r\nHost: x\r\n\r\n")
	for begun := ""; !strings.HasSuffix(begun, "begun"); {
		buf := make([]byte, 500)
		n, err := stream.Read(buf)
		if err != nil {
			t.Fatalf("%q, %v", begun, err)
		}
		begun += string(buf[:n])
	}
	eventually(t, "a transfer", func() bool {
		var n int
		s.do(func() { n = len(s.transfers()) })
		return n == 1
	})
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	eventually(t, "draining", func() (draining bool) {
		s.do(func() { draining = s.loop.sites.Draining() })
		return draining
	})
	close(more)
	if all, err := io.ReadAll(stream); err != nil || string(all) != "ended" {
		t.Errorf("%q, %v", all, err)
	}
	if all, err := io.ReadAll(file); err != nil || len(all) < 6<<20 {
		t.Errorf("%d bytes, %v", len(all), err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
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
