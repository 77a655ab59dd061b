package runtime

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/conn/certtest"

	"golang.org/x/sys/unix"
)

// After a large record, crypto/tls would keep a large buffer for the next record.
func TestIdleTLSConnectionsAreSmall(t *testing.T) {
	cert, _ := certtest.Localhost()
	s := serve(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	ln := checktest.Try(conn.Listen("127.0.0.1:0", conn.ListenOptions{})).Must(t)
	ln.Secure = true
	s.Accept(ln)
	buf := make([]byte, 4096)
	ask := func(request []byte) int {
		raw := dialRaw(t, ln.Addr().String())
		unix.SetsockoptInt(raw.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := tls.Client(rawConn{c: raw}, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
		checktest.Try(c.Write(request)).Must(t)
		checktest.Try(c.Read(buf)).Must(t)
		return raw.fd
	}
	upload := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n%050000d", 1)
	var descriptors []int
	for _, c := range []struct {
		what    string
		n       int64
		request []byte
		most    int64
	}{
		{"an idle connection with TLS", 400, plain, 12 << 10},
		{"an idle connection with TLS behind an upload", 200, upload, 25 << 10},
	} {
		descriptors = append(descriptors, ask(c.request))
		before := memory()
		for range c.n {
			descriptors = append(descriptors, ask(c.request))
		}
		eachCosts(t, c.what, before, c.n, c.most)
	}
	for _, fd := range descriptors {
		unix.Close(fd)
	}
}

// A rawConn is a net.Conn with only the methods that crypto/tls calls in this test.
type rawConn struct {
	net.Conn
	c rawClient
}

func (r rawConn) Read(b []byte) (int, error)  { return r.c.read(b), nil }
func (r rawConn) Write(b []byte) (int, error) { return unix.Write(r.c.fd, b) }
