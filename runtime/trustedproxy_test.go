package runtime

import (
	"bytes"
	"net/netip"
	"testing"

	"fapws/runtime/eventloop"
	"fapws/runtime/sites"

	"golang.org/x/sys/unix"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A proxy that says the same again costs no allocation.
func TestTrustedProxiesDoNotAllocate(t *testing.T) {
	ts := start(t, settled(Config{Sites: sites.Config{Proxies: loopback, RootPath: "/app"}}), &instant{body: []byte("x")}, sites.Mount{Prefix: "/"})
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
