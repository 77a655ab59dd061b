package runtime

import (
	"fapws/runtime/sites"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"fapws/runtime/exchange"
)

// sum is an application that answers with the size of the body, where it was
// stored, and its ends.
func sum(c *call) {
	ends := c.Body
	if len(ends) > 8 {
		ends = ends[:4] + ends[len(ends)-4:]
	}
	c.reply(200, fmt.Sprintf("%d %v %s", len(c.Body), c.Spooled, ends))
}

func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

func TestSpoolDirectoryMissing(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{SpoolSize: 10, SpoolDir: "/nonexistent"}}, newApp(true, sum))
	got := bodies(t, s.talk(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked("hello, world", 12)))
	if got != "500:Internal Server Error\n" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(s.log.String(), "cannot store a request body in /nonexistent") {
		t.Errorf("log: %s", s.log)
	}
}

// Descriptors of spooled bodies do not leak, whichever side ends the request.
func TestSpoolIsClosed(t *testing.T) {
	a := newApp(true, func(c *call) { c.part(exchange.Part{Last: true, File: -1, Head: exchange.Head{Status: 200}}) })
	s := serve(t, Config{Sites: sites.Config{SpoolSize: 10}}, a)
	before := openFiles(t)
	for range 10 {
		c := s.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 500))
		c.Close()
		s.talk(t, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(strings.Repeat("x", 1000), 100))
	}
	eventually(t, "as many descriptors as before", func() bool { return openFiles(t) <= before })
}

func openFiles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
