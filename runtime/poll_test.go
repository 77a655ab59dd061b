package runtime

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/sites"
)

// kept returns a connection that has been used.
func (s *testServer) kept(t *testing.T) *net.TCPConn {
	t.Helper()
	c := s.dial(t)
	for i := range 2 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		if got := readBody(t, c); string(got) != fmt.Sprintf("GET /%d?", i) {
			t.Fatalf("%q", got)
		}
	}
	return c
}

// What does not fit into the buffer is read all the same.
func TestEdgeFullBuffer(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{ReadBuffer: 1000}, newApp(true, demo))
	c := s.kept(t)
	for _, size := range []int{1, 900, 1000, 1001, 50_000, 1_000_000} {
		body := strings.Repeat("0123456789", size/10+1)[:size]
		fmt.Fprintf(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, body)
		if got := readBody(t, c); string(got) != body {
			t.Fatalf("%d bytes came back as %d", size, len(got))
		}
	}
	// A request that fills the buffer to the byte, with another behind it.
	head := "GET /a HTTP/1.1\r\nHost: x\r\nX: "
	full := head + strings.Repeat("x", 1000-len(head)-4) + "\r\n\r\n"
	io.WriteString(c, full+full)
	for range 2 {
		if got := readBody(t, c); string(got) != "GET /a?" {
			t.Fatalf("%q", got)
		}
	}
}

// A request and the end of the client's data are one event.
func TestEdgeEndWithRequest(t *testing.T) {
	t.Parallel()
	for _, inline := range []bool{true, false} {
		s := serve(t, Config{}, newApp(inline, demo))
		c := s.kept(t)
		hold, held := make(chan struct{}), make(chan struct{})
		go s.do(func() { close(held); <-hold }) // so that both have come when the loop looks
		<-held
		io.WriteString(c, "GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
		c.CloseWrite()
		close(hold)
		if all, err := io.ReadAll(c); !strings.HasSuffix(string(all), "GET /last?") || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		eventually(t, "it is closed", func() bool { return s.loop.live.Load() == 0 })
	}
}

// Without a request the end closes it, and so does RST.
func TestEdgeEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	for _, reset := range []bool{false, true} {
		c := s.kept(t)
		if reset {
			c.SetLinger(0)
		}
		c.Close()
		eventually(t, "it is closed", func() bool { return s.loop.live.Load() == 0 })
	}
}

// recv(2) stops at urgent data, though there is more behind it.
func TestEdgeUrgentData(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	c := s.kept(t)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		hold, held := make(chan struct{}), make(chan struct{})
		go s.do(func() { close(held); <-hold })
		<-held
		io.WriteString(c, "GET /be")
		raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
		if err != nil && err != syscall.EISCONN {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "hind/%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		close(hold)
		if got := readBody(t, c); string(got) != fmt.Sprintf("GET /behind/%d?", i) {
			t.Fatalf("%q", got)
		}
	}
}

// A task that queues another one does not keep connections from their turn.
func TestTasksWithoutEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	ends := make(chan struct{})
	var again func()
	again = func() {
		select {
		case <-ends:
		default:
			s.loop.post(again)
		}
	}
	s.do(again)
	defer close(ends)
	s.kept(t)
}

// Whatever a proxy says, a unix socket is not edge-triggered.
func TestEdgeOfUnixSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{ProxyUnix: true, ProxyProtocol: true}}, newApp(true, demo))
	ln, err := conn.Listen("unix:"+t.TempDir()+"/s", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	s.Accept(ln)
	c, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PROXY TCP4 192.0.2.1 10.0.0.2 4711 80\r\n")
	for i := range 3 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		if got := readBody(t, c); string(got) != fmt.Sprintf("GET /%d?", i) {
			t.Fatalf("%q", got)
		}
	}
}

// A connection that was paused after the wait is not read from, though its event is still to come: what its client
// sends is for a library or a tunnel by then. Afterwards it is read, though no event comes.
func TestEventOfPaused(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	c := s.kept(t)
	var own *sites.Conn
	s.do(func() {
		own = s.loop.all()[0]
		own.Pause(conn.HeedReset)
	})
	io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it has come", func() bool {
		return waiting(own.Fd())
	})
	s.do(func() {
		own.Ready(eventloop.Readable)
		if !waiting(own.Fd()) || own.Busy() || len(own.Pending()) > 0 {
			t.Error("it was read from")
		}
		own.Unpause()
	})
	if got := readBody(t, c); string(got) != "GET /1?" {
		t.Errorf("%q", got)
	}
}

// waiting reports whether something has come that was not read from a socket.
func waiting(fd int) bool {
	n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n > 0 && err == nil
}
