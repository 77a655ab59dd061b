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

	"fapws/runtime/exchange"
	"fapws/runtime/listen"
	"fapws/runtime/protocol/http1"
)

// retiring waits until the loop of s knows that it retires.
func retiring(t *testing.T, s *testServer) {
	t.Helper()
	eventually(t, "retiring", func() (leaving bool) {
		s.do(func() { leaving = s.loop.http.Leaving() })
		return leaving
	})
}

func TestRetireServesWhoIsConnected(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	a := newApp(false, func(c *call) {
		if c.Path == "/busy" {
			<-gate
		}
		if c.Path == "/begun" {
			c.part(exchange.Part{File: -1, Body: []byte("begun"), Head: exchange.Head{Status: 200, Length: 10}})
			<-gate
			c.part(exchange.Part{File: -1, Body: []byte("ended"), Last: true})
			return
		}
		c.reply(200, c.Path)
	})
	s := serve(t, Config{}, a)
	clients := map[string]net.Conn{}
	for _, name := range []string{"fresh", "idle", "busy", "begun", "half"} {
		clients[name] = s.dial(t)
	}
	send := func(name, text string) { io.WriteString(clients[name], text) }
	const fields = " HTTP/1.1\r\nHost: x\r\n\r\n"
	send("idle", "GET /1"+fields)
	clients["idle"].Read(make([]byte, 1000))
	send("half", "GET /ha")
	send("busy", "GET /busy"+fields)
	send("begun", "GET /begun"+fields)
	eventually(t, "all are there", func() bool {
		states := map[http1.State]int{}
		s.do(func() {
			for _, c := range s.loop.all() {
				states[c.State()]++
			}
		})
		return states[http1.StateNew] == 1 && states[http1.StateHead] == 1 && states[http1.StateReady] == 3
	})
	begun := ""
	for buf := make([]byte, 500); !strings.HasSuffix(begun, "begun"); {
		n, err := clients["begun"].Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		begun += string(buf[:n])
	}

	ended := make(chan error, 1)
	go func() { ended <- s.Retire(context.Background(), time.Hour) }()
	retiring(t, s)
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("still accepts")
	}
	close(gate)
	for name, rest := range map[string]string{
		"fresh": "GET /2" + fields,
		"idle":  "GET /2" + fields + "GET /3" + fields,
		"half":  "lf" + fields,
		"busy":  "",
	} {
		send(name, rest)
		all, err := io.ReadAll(clients[name])
		want := map[string]string{"fresh": "200:/2", "idle": "200:/2 200:/3", "half": "200:/half", "busy": "200:/busy"}[name]
		if got := bodies(t, string(all)); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
		if n := strings.Count(string(all), "Connection: close\r\n"); n != 1 {
			t.Errorf("%s: %d times Connection: close in %q", name, n, all)
		}
	}
	// The head of this response promised that the connection stays.
	buf := make([]byte, 5)
	if _, err := io.ReadFull(clients["begun"], buf); err != nil || string(buf) != "ended" {
		t.Errorf("begun: %q, %v", buf, err)
	}
	send("begun", "GET /4"+fields)
	if all, err := io.ReadAll(clients["begun"]); err != nil || bodies(t, string(all)) != "200:/4" {
		t.Errorf("begun: %q, %v", all, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
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
	ln, err := listen.Open("127.0.0.1:0", listen.DefaultOptions)
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
	late, err := listen.Open("127.0.0.1:0", listen.DefaultOptions)
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
	s := serve(t, Config{MaxRequests: 3, OnMaxRequests: func() { worn <- struct{}{} }}, newApp(true, demo))
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
