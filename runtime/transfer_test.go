package runtime

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func pattern(n int) []byte {
	b := make([]byte, 0, n+16)
	for i := 0; len(b) < n; i += 16 {
		b = fmt.Appendf(b, "%015x\n", i)
	}
	return b[:n]
}

func slowly(t *testing.T, s *testServer) *net.TCPConn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	c := checktest.Try(d.Dial("tcp", s.addr)).Must(t)
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func readBody(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		_, err := io.ReadFull(r, one)
		checktest.Mustf(t, err, "in a head, after %q", head)
		head = append(head, one[0])
	}
	var n int
	if i := bytes.Index(head, []byte("Content-Length: ")); i < 0 {
		t.Fatalf("no Content-Length in %q", head)
	} else {
		fmt.Sscan(string(head[i+16:]), &n)
	}
	body := make([]byte, n)
	k, err := io.ReadFull(r, body)
	checktest.Mustf(t, err, "%d of %d bytes", k, n)
	return body
}
