package runtime

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/exchange"

	"golang.org/x/sys/unix"
)

const wsUpgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// mole is a tunnel that says what it was given.
type mole struct {
	taken       chan bool
	file        *os.File
	head, early string
}

func (m *mole) Take(socket int, head, early []byte) {
	m.file, m.head, m.early = os.NewFile(uintptr(socket), "client"), string(head), string(early)
	close(m.taken)
}

func (m *mole) Carried() (in, out int64) { return 11, 22 }

// digs answers with a tunnel, in which it shouts until the client says quit.
func digs(c *call) {
	m := &mole{taken: make(chan bool)}
	c.part(exchange.Part{First: true, File: -1, Head: exchange.Head{Status: 101, Length: -1, Tunnel: m,
		Fields: []byte("Upgrade: websocket\r\nConnection: Upgrade\r\n")}})
	last := exchange.Part{Last: true, File: -1}
	select {
	case <-m.taken:
		io.WriteString(m.file, m.head)
		for lines := bufio.NewScanner(io.MultiReader(strings.NewReader(m.early), m.file)); lines.Scan() && lines.Text() != "quit"; {
			if lines.Text() == "fail" {
				last.Failed = true
				break
			}
			io.WriteString(m.file, strings.ToUpper(lines.Text())+"\n")
		}
		m.file.Close()
	case <-c.gone:
	}
	c.part(last)
}

func TestTunnel(t *testing.T) {
	a := newApp(false, func(c *call) {
		if c.Path == "/ws" {
			digs(c)
		} else {
			c.reply(200, "plain")
		}
	})
	s := serve(t, Config{}, a, Mount{Prefix: "/", Tunnels: true})
	before := openFiles(t)
	for _, end := range []string{"quit", "fail", "leave", "half"} {
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
		if line, _ := r.ReadString('\n'); line != "EARLY\n" {
			t.Errorf("%q", line)
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
			c.CloseWrite()
			fallthrough
		default:
			io.WriteString(c, end+"\n")
			if rest, err := io.ReadAll(r); len(rest) > 0 || (err != nil) != (end == "fail") {
				t.Errorf("%s: %q, %v", end, rest, err)
			}
		}
		c.Close()
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= before })
}

// The end of the server cuts a tunnel off, and a loop that cannot give the connection
// away answers 503.
func TestTunnelEnds(t *testing.T) {
	var s *testServer
	var unpausable atomic.Bool
	a := newApp(false, func(c *call) {
		if unpausable.Load() {
			s.do(func() {
				for fd, c := range s.loop.conns {
					if c != nil {
						unix.EpollCtl(s.loop.epoll, unix.EPOLL_CTL_DEL, fd, nil)
					}
				}
			})
		}
		digs(c)
	})
	s = serve(t, Config{Timeout: time.Minute}, a, Mount{Prefix: "/", Tunnels: true})
	c := s.dial(t)
	r := bufio.NewReader(c)
	io.WriteString(c, wsUpgrade)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	s.lookLater() // the timeout is for the answer
	io.WriteString(c, "there\n")
	if line, _ := r.ReadString('\n'); line != "THERE\n" {
		t.Errorf("%q", line)
	}
	s.do(s.loop.closeAll)
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	eventually(t, "all released", a.idle)

	unpausable.Store(true)
	if got := bodies(t, s.talk(t, strings.Replace(wsUpgrade, "Connection: ", "Connection: close, ", 1))); got != "503:Service Unavailable\n" {
		t.Errorf("%q", got)
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}
