package runtime

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

const wsUpgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// upstream returns the two ends of a connection: one for a tunnel, and one that behaves like an upstream.
func upstream() (conn.Plain, *os.File) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	for _, fd := range ends {
		unix.SetNonblock(fd, true)
	}
	return conn.Plain{Descriptor: ends[0]}, os.NewFile(uintptr(ends[1]), "upstream")
}

// closeWrite makes the other end of f read the end of the stream.
func closeWrite(f *os.File) {
	if rc, err := f.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
}

// tunnels answers with a tunnel to an upstream that f is.
func (c *call) tunnels(ahead string, f func(*os.File)) {
	socket, file := upstream()
	c.part(exchange.Part{First: true, Last: true, File: -1, Head: exchange.Head{
		Status: 101, Length: -1, Fields: []byte("Upgrade: websocket\r\nConnection: Upgrade\r\n"),
		Tunnel: &exchange.Tunnel{Upstream: socket, Ahead: []byte(ahead), Ended: func(error) {}},
	}})
	f(file)
	file.Close()
}

// An upstream reads the rest of a conversation that it has ended before.
func TestTunnelReadsTheRest(t *testing.T) {
	t.Parallel()
	read, got := make(chan bool), make(chan string, 1)
	a := newApp(false, func(c *call) {
		c.tunnels("", func(f *os.File) {
			closeWrite(f)
			<-read
			rest, err := io.ReadAll(f)
			got <- fmt.Sprint(string(rest), err)
		})
	})
	s := serve(t, Config{}, a, sites.Mount{Prefix: "/", Tunnels: true})
	c := s.dial(t)
	io.WriteString(c, wsUpgrade)
	if all, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 101 ") {
		t.Fatalf("%q, %v", all, err)
	}
	io.WriteString(c, "the rest")
	c.CloseWrite()
	eventually(t, "the tunnel has ended", func() bool { return s.loop.live.Load() == 0 })
	close(read)
	if text := <-got; text != "the rest<nil>" {
		t.Errorf("the upstream read %s", text)
	}
	eventually(t, "all released", a.idle)
}

// A client that leaves before its tunnel is open leaves no connection to the upstream behind.
func TestTunnelTooLate(t *testing.T) {
	t.Parallel()
	asked, over := make(chan bool), make(chan bool)
	a := newApp(false, func(c *call) {
		close(asked)
		<-c.gone
		c.tunnels("", func(f *os.File) {
			io.Copy(io.Discard, f)
			close(over)
		})
	})
	s := serve(t, Config{}, a, sites.Mount{Prefix: "/", Tunnels: true})
	c := s.dial(t)
	io.WriteString(c, wsUpgrade)
	<-asked
	c.SetLinger(0)
	c.Close()
	<-over
	eventually(t, "all released", a.idle)
}
