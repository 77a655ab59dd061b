package runtime

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/system"
)

const wsUpgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// upstream returns the two ends of a connection: one for a tunnel, and one that behaves like an upstream.
func upstream() (system.Plain, *os.File) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	for _, fd := range ends {
		unix.SetNonblock(fd, true)
	}
	return system.Plain{Descriptor: ends[0]}, os.NewFile(uintptr(ends[1]), "upstream")
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

// shouts is an upstream that ends when it reads quit.
func shouts(f *os.File) {
	for lines := bufio.NewScanner(f); lines.Scan() && lines.Text() != "quit"; {
		io.WriteString(f, strings.ToUpper(lines.Text())+"\n")
	}
}

func TestTunnel(t *testing.T) {
	a := newApp(false, func(c *call) {
		if c.Path == "/ws" {
			c.tunnels("ahead\n", shouts)
		} else {
			c.reply(200, "plain")
		}
	})
	s := serve(t, Config{}, a, sites.Mount{Prefix: "/", Tunnels: true})
	before := openFiles(t)
	for _, end := range []string{"quit", "leave", "half"} {
		c := s.dial(t)
		r := bufio.NewReader(c)
		io.WriteString(c, "GET /before HTTP/1.1\r\nHost: x\r\n\r\n"+wsUpgrade+"early\n")
		for _, want := range []int{200, 101} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != want {
				t.Fatal(resp, err)
			}
			if want == 200 {
				io.Copy(io.Discard, resp.Body)
			} else if resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Content-Length") != "" {
				t.Error(resp.Header)
			}
		}
		for _, want := range []string{"ahead\n", "EARLY\n"} {
			if line, _ := r.ReadString('\n'); line != want {
				t.Errorf("%q", line)
			}
		}
		for i := range 100 {
			fmt.Fprintf(c, "line %d\n", i)
			if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("LINE %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
		}
		switch end {
		case "leave":
			c.SetLinger(0)
			c.Close()
		case "half":
			io.WriteString(c, "last\n")
			c.CloseWrite()
			if rest, err := io.ReadAll(r); string(rest) != "LAST\n" || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
		default:
			io.WriteString(c, end+"\n")
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("%s: %q, %v", end, rest, err)
			}
		}
		c.Close()
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= before })
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

// The end of the server cuts a tunnel off, in which the timeout of its request has no meaning.
func TestTunnelEnds(t *testing.T) {
	t.Parallel()
	over := make(chan bool)
	a := newApp(false, func(c *call) {
		c.tunnels("", func(f *os.File) {
			shouts(f)
			close(over)
		})
	})
	s := serve(t, Config{Timeout: time.Minute}, a, sites.Mount{Prefix: "/", Tunnels: true})
	c := s.dial(t)
	r := bufio.NewReader(c)
	io.WriteString(c, wsUpgrade)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	s.lookLater()
	io.WriteString(c, "there\n")
	if line, _ := r.ReadString('\n'); line != "THERE\n" {
		t.Errorf("%q", line)
	}
	s.do(s.loop.closeAll)
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	<-over
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
