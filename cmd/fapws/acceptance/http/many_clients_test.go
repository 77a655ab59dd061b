package http_test

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

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestManyIdleClients: one loop keeps four thousand clients that say nothing, for
// next to no time of the processor, and answers others meanwhile.
func TestManyIdleClients(t *testing.T) {
	t.Parallel()
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	// Both ends are on this machine, each within its limit of descriptors.
	clients := min(4_000, int(lim.Cur/4*3)-200)
	// However long it takes to connect them all, none is closed for its idle time.
	s := fapwstest.Command{Script: "ancestors.py", Flags: []string{"--keep-alive", "1h"}}.Serve(t, fapwstest.Inline)
	var addr unix.SockaddrInet4
	host, port, _ := net.SplitHostPort(s.Address)
	copy(addr.Addr[:], net.ParseIP(host).To4())
	addr.Port, _ = strconv.Atoi(port)
	ask := []byte(fapwstest.Get("/"))
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
		limit := unix.NsecToTimeval(int64(fapwstest.Patience))
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
		again(unix.Write, fd, ask)
		if n, err := again(unix.Read, fd, answer); err != nil || !strings.HasPrefix(string(answer[:max(n, 0)]), "HTTP/1.1 200 ") {
			t.Fatalf("client %d: %v, %q", len(idle), err, answer[:max(n, 0)])
		}
	}
	used := func() float64 {
		f, err := strconv.ParseFloat(s.Get("/cpu", 200).Text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	// When memory has been given back and the like; ticks of the clock are 0.01.
	fapwstest.Eventually(t, fmt.Sprintf("%d idle clients take little of three seconds", clients), func() bool {
		before := used()
		time.Sleep(3 * time.Second)
		return used()-before <= 0.06
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

// TestEveryByteIsSent: a socket that takes little at a time gets every byte all
// the same, and a client that disconnects ends only its own response.
func TestEveryByteIsSent(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "ancestors.py")
		want := s.Get("/digest", 200).Text
		for _, target := range []string{"/large", "/pieces"} {
			c, err := (&net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
				return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
			}}).Dial("tcp", s.Address)
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(fapwstest.Patience))
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
			gone := s.Dial()
			gone.Get(target)
			gone.Head("GET")
			gone.Reset()
		}
		s.Get("/", 200).Is(t, "hello")
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
	t.Parallel()
	inItsTime(t, func(t *testing.T, timeout time.Duration, p *pace) error {
		s := fapwstest.Serve(t, fapwstest.Threads, "ancestors.py", "--keep-alive", timeout.String(), "--head-timeout", timeout.String(), "--body-timeout", timeout.String())
		p.restart()
		active, idle, half, body := s.Dial(), s.Dial(), s.Dial(), s.Dial()
		half.Send("GET / HTTP/1.1\r\nHo")
		body.Send("POST /item HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
		if _, err := idle.Tries(fapwstest.Get("/")); err != nil {
			return err
		}
		ended := make(chan error, 3)
		for _, w := range []*fapwstest.Client{half, body, idle} {
			go func() {
				a, err := w.Tries("")
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
			a, err := active.Tries(fapwstest.Get("/"))
			if err != nil || a.Text != "hello" {
				return fmt.Errorf("a client that asks again and again gets %v, %v", a, err)
			}
			p.step()
		}
		return nil
	})
}
