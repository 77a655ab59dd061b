package acceptance

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The rows of httPyServer, which these tests are named after, that no other file
// here is about. H1 is a unit test of package runtime.

// TestMethodsOfAClass: a class answers by the name of the method, and says which
// names it has to who asks for another.
func TestMethodsOfAClass(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "ancestors.py")
		s.get("/item", 200).is(t, "got")
		s.ask(request("POST", "/item", "a form")).is(t, "posted a form")
		s.ask(request("PUT", "/item", "x")).is(t, "put")
		s.ask(request("DELETE", "/item", "")).is(t, "deleted")
		s.ask(request("HEAD", "/item", "")).is(t, "").field(t, "X-By", "head")
		s.ask(request("OPTIONS", "/item", "")).want(t, 204).field(t, "X-By", "options")
		s.ask(request("PATCH", "/item", "x")).want(t, 405).field(t, "Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
		s.get("/reading", 200).is(t, "read")
		s.ask(request("POST", "/reading", "x")).want(t, 405).field(t, "Allow", "GET, HEAD, OPTIONS")
	})
}

// TestManyIdleClients: one loop keeps ten thousand clients that say nothing, for
// next to no time of the processor, and answers others meanwhile.
func TestManyIdleClients(t *testing.T) {
	inEach(t, modes[1:2], manyIdle)
}

func manyIdle(t *testing.T, m mode) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	// Both ends are on this machine, each within its limit of descriptors.
	clients := min(10_000, int(lim.Cur/4*3)-200)
	s := serve(t, m, "ancestors.py")
	var addr unix.SockaddrInet4
	host, port, _ := net.SplitHostPort(s.address)
	copy(addr.Addr[:], net.ParseIP(host).To4())
	addr.Port, _ = strconv.Atoi(port)
	ask := []byte(get("/"))
	var idle []int
	defer func() {
		for _, fd := range idle {
			unix.Close(fd)
		}
	}()
	answer := make([]byte, 4096)
	for range clients {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("after %d clients: %v", len(idle), err)
		}
		idle = append(idle, fd)
		if err := unix.Connect(fd, &addr); err != nil && err != unix.EINTR { // then it goes on connecting, and the write waits
			t.Fatalf("after %d clients: %v", len(idle), err)
		}
		limit := unix.NsecToTimeval(int64(patience))
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
		again(unix.Write, fd, ask)
		if n, err := again(unix.Read, fd, answer); err != nil || !strings.HasPrefix(string(answer[:max(n, 0)]), "HTTP/1.1 200 ") {
			t.Fatalf("client %d: %v, %q", len(idle), err, answer[:max(n, 0)])
		}
	}
	used := func() float64 {
		f, err := strconv.ParseFloat(s.get("/cpu", 200).body, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	// When memory has been given back and the like; ticks of the clock are 0.01.
	eventually(t, fmt.Sprintf("%d idle clients take little of three seconds", clients), func() bool {
		before := used()
		time.Sleep(3 * time.Second)
		return used()-before <= 0.15
	})
	again(unix.Write, idle[clients/2], ask)
	if n, err := again(unix.Read, idle[clients/2], answer); err != nil || n <= 0 {
		t.Errorf("an idle client is not answered any more: %v", err)
	}
}

// again calls read or write until no signal interrupts it.
func again(call func(int, []byte) (int, error), fd int, b []byte) (n int, err error) {
	for {
		if n, err = call(fd, b); err != unix.EINTR {
			return n, err
		}
	}
}

// TestRequestsInPieces: an incomplete request waits until it is whole, and
// what arrives together is answered in order.
func TestRequestsInPieces(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "ancestors.py")
		w := s.dial()
		for _, b := range request("POST", "/item", "slowly") {
			w.send(string(b))
		}
		w.answer().is(t, "posted slowly")
		w.send(get("/item"), request("POST", "/item", "second"), get("/reading"))
		w.answer().is(t, "got")
		w.answer().is(t, "posted second")
		w.answer().is(t, "read")
		w.send(get("/")[:20])
		time.Sleep(100 * time.Millisecond)
		s.get("/", 200).is(t, "hello") // others do not wait for it
		w.send(get("/")[20:])
		w.answer().is(t, "hello")
	})
}

// TestEveryByteIsSent: a socket that takes little at a time gets every byte all
// the same, and one that is gone ends its response and nothing else.
func TestEveryByteIsSent(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "ancestors.py")
		want := s.get("/digest", 200).body
		for _, target := range []string{"/large", "/pieces"} {
			c, err := (&net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
				return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
			}}).Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", target)
			sum := md5.New()
			if err := skipHead(c); err != nil {
				t.Fatal(err)
			}
			n, err := io.CopyBuffer(sum, struct{ io.Reader }{c}, make([]byte, 777))
			if got := hex.EncodeToString(sum.Sum(nil)); err != nil || got != want {
				t.Errorf("%s: %d bytes, %v, md5 %s, want %s", target, n, err, got, want)
			}
			c.Close()
			gone := s.dial()
			gone.get(target)
			gone.head("GET")
			gone.reset()
		}
		s.get("/", 200).is(t, "hello")
	})
}

// skipHead reads a byte at a time, so that the body stays to be read.
func skipHead(r io.Reader) error {
	var one [1]byte
	for ends := 0; ends < 4; {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return err
		}
		if one[0] == "\r\n\r\n"[ends] {
			ends++
		} else {
			ends = 0
		}
	}
	return nil
}

// TestSilentClients: a client that sends nothing for the time is closed, one that sends requests is not, and half a
// request is answered 408.
func TestSilentClients(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		inItsTime(t, func(t *testing.T, timeout time.Duration, p *pace) error {
			s := serve(t, m, "ancestors.py", "--keep-alive", timeout.String(), "--head-timeout", timeout.String(), "--body-timeout", timeout.String())
			p.restart()
			active, idle, half, body := s.dial(), s.dial(), s.dial(), s.dial()
			half.send("GET / HTTP/1.1\r\nHo")
			body.send("POST /item HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
			if _, err := idle.tries(get("/")); err != nil {
				return err
			}
			ended := make(chan error, 3)
			for _, w := range []*wire{half, body, idle} {
				go func() {
					a, err := w.tries("")
					switch {
					case w == idle && errors.Is(err, io.ErrUnexpectedEOF):
						err = nil
					case err == nil && (w == idle || a.StatusCode != 408):
						err = fmt.Errorf("a connection that has timed out gets %s", a.Status)
					}
					ended <- err
				}()
			}
			for left := 3; left > 0; {
				select {
				case err := <-ended:
					if err != nil {
						return err
					}
					left--
				case <-time.After(timeout / 12):
				}
				a, err := active.tries(get("/"))
				if err != nil || a.body != "hello" {
					return fmt.Errorf("a client that asks again and again gets %v, %v", a, err)
				}
				p.step()
			}
			return nil
		})
	})
}

// TestRequestSizesAreLimited: all parts of a request have limits.
func TestRequestSizesAreLimited(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "ancestors.py", "--limit-request-line", "1K", "--limit-request-head", "4K", "--max-body-size", "8K")
		s.ask("GET /"+strings.Repeat("a", 2000)+" HTTP/1.1\r\nHost: a\r\n\r\n").want(t, 414)
		s.ask(get("/", "X-A: "+strings.Repeat("b", 2000), "X-B: "+strings.Repeat("b", 3000))).want(t, 431)
		s.ask(request("POST", "/item", strings.Repeat("c", 8192))).want(t, 200)
		s.ask(request("POST", "/item", strings.Repeat("c", 8193))).want(t, 413, "input body too big")
		w := s.dial()
		w.send("GET / HTTP/1.1\r\nHost: a\r\nX-Endless: ")
		for range 20 { // it is refused before it ends; what is sent after that may meet a closed socket
			if _, err := io.WriteString(w.Conn, strings.Repeat("d", 1000)); err != nil {
				break
			}
		}
		w.answer().want(t, 431)
	})
}
