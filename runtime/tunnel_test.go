package runtime

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
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

// A tunnel reads the rest of a conversation that both sides have ended, however often the kernel reports that end.
func TestTunnelReadsTheRest(t *testing.T) {
	read, got := make(chan bool), make(chan string, 1)
	a := newApp(false, func(c *call) {
		m := &mole{taken: make(chan bool)}
		c.part(exchange.Part{First: true, File: -1, Head: exchange.Head{Status: 101, Length: -1, Tunnel: m}})
		<-m.taken
		io.WriteString(m.file, m.head)
		if rc, err := m.file.SyscallConn(); err == nil {
			rc.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
		}
		<-read
		rest, err := io.ReadAll(m.file)
		select {
		case <-c.gone:
			err = errors.New("it was canceled")
		default:
		}
		got <- fmt.Sprint(string(rest), err)
		m.file.Close()
		c.part(exchange.Part{Last: true, File: -1})
	})
	s := serve(t, Config{}, a, Mount{Prefix: "/", Tunnels: true})
	c := s.dial(t)
	io.WriteString(c, wsUpgrade)
	if all, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 101 ") {
		t.Fatalf("%q, %v", all, err)
	}
	io.WriteString(c, "the rest")
	c.CloseWrite()
	eventually(t, "the loop has seen the end", func() (seen bool) {
		s.do(func() {
			for _, c := range s.loop.wheel.all() {
				seen = seen || c.half
			}
		})
		return seen
	})
	s.do(func() {
		for _, c := range s.loop.wheel.all() {
			c.Ready(eventloop.Readable | eventloop.MaybeGone)
		}
	})
	close(read)
	if text := <-got; text != "the rest<nil>" {
		t.Errorf("the tunnel read %s", text)
	}
	eventually(t, "all released", a.idle)
}

// The end of the server cuts a tunnel off, and where there is no descriptor for one the answer is 503.
func TestTunnelEnds(t *testing.T) {
	a := newApp(false, digs)
	s := serve(t, Config{Timeout: time.Minute}, a, Mount{Prefix: "/", Tunnels: true})
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

	c = s.dial(t)
	io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 204 {
		t.Fatal(resp, err)
	}
	restore := noMoreDescriptors(t)
	io.WriteString(c, strings.Replace(wsUpgrade, "Connection: ", "Connection: close, ", 1))
	all, err := io.ReadAll(c)
	restore()
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 503 ") {
		t.Errorf("%q, %v", all, err)
	}
	eventually(t, "all released", a.idle)
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
}

// noMoreDescriptors makes this process unable to open another one until restore is called.
func noMoreDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
}
