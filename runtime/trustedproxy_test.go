package runtime

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"

	"fapws/runtime/eventloop"
	"fapws/runtime/sites"

	"golang.org/x/sys/unix"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A proxy that says the same again costs no allocation.
func TestTrustedProxiesDoNotAllocate(t *testing.T) {
	ts := start(t, settled(Config{Sites: sites.Config{Proxies: loopback, RootPath: "/app"}}), &instant{body: []byte("x")}, mounted())
	c := dialRaw(t, ts.addr)
	defer unix.Close(c.fd)
	request := bytes.Replace(plain, []byte("\r\n\r\n"), []byte("\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.2\r\nX-Forwarded-Proto: https\r\n\r\n"), 1)
	buf := make([]byte, 64<<10)
	unix.Write(c.fd, request)
	size := c.read(buf)
	for range 100 {
		c.ask(request, buf, size)
	}
	if n := testing.AllocsPerRun(1000, func() { c.ask(request, buf, size) }); n > eventloop.BatchAllocations {
		t.Errorf("%v allocations a request", n)
	}
}

// A connection that the process makes to itself has no proxy before it.
func TestEnrolledNeedNoProxyHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{ProxyUnix: true, ProxyProtocol: true}}, newApp(true, demo))
	c := enrolled(t, s.Enrol)
	io.WriteString(c, "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200") {
		t.Errorf("%q, %v", got, err)
	}
}
