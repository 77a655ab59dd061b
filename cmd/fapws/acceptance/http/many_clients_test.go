package http_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

func TestManyIdleClientsNeedAlmostNoCPUTime(t *testing.T) {
	t.Parallel()
	var lim unix.Rlimit
	fapwstest.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	// The clients are in the test's process, so its limit of descriptors limits their number. The keep-alive timeout is
	// long, so that no connection closes while other clients connect.
	s := fapwstest.Command{Script: "ancestors.py", Flags: []string{"--keep-alive", "1h"}}.Serve(t, fapwstest.Inline)
	idle := make([]*fapwstest.Client, min(2_000, int(lim.Cur/4*3)-200))
	for i := range idle {
		idle[i] = s.Dial()
		idle[i].Get("/")
		idle[i].Answer().Is(t, "hello")
	}
	used := func() float64 {
		f, err := strconv.ParseFloat(s.Get("/cpu", 200).Text, 64)
		fapwstest.Must(t, err)
		return f
	}
	// Repeat the check, because the server also uses the CPU while it releases memory.
	fapwstest.Eventually(t, fmt.Sprintf("%d idle clients take little of three seconds", len(idle)), func() bool {
		before := used()
		time.Sleep(3 * time.Second)
		return used()-before <= 0.06
	})
	last := idle[len(idle)-1]
	last.SetDeadline(time.Now().Add(fapwstest.Patience))
	last.Fetch("/").Is(t, "hello")
}

func TestSlowSocketGetsEveryByte(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "ancestors.py")
		want := s.Get("/digest", 200).Text
		for _, target := range []string{"/large", "/pieces"} {
			c, err := (&net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
				return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
			}}).Dial("tcp", s.Address)
			fapwstest.Must(t, err)
			w := fapwstest.NewClient(t, c)
			w.Send("GET ", target, " HTTP/1.0\r\n\r\n")
			sum := md5.New()
			n, err := io.CopyBuffer(sum, struct{ io.Reader }{w.Head("GET").Body}, make([]byte, 777))
			got := hex.EncodeToString(sum.Sum(nil))
			fapwstest.Truef(t, err == nil && got == want, "%s: %d bytes, %v, md5 %s, want %s", target, n, err, got, want)
			c.Close()
			gone := s.Dial()
			gone.Get(target)
			gone.Head("GET")
			gone.Reset()
		}
		s.Get("/", 200).Is(t, "hello")
	})
}

func TestClientThatKeepsSendingRequestsIsNotDisconnected(t *testing.T) {
	t.Parallel()
	checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ancestors.py", "--keep-alive", timeout.String(), "--head-timeout",
			timeout.String())
		active := s.Dial()
		for range 24 {
			time.Sleep(timeout / 12)
			if a, err := active.Tries(fapwstest.Get("/")); err != nil || a.Text != "hello" {
				return fmt.Sprintf("a client that asks again and again gets %v, %v", a, err)
			}
		}
		return ""
	})
}
