package http_test

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// While the client does not read, the application begins only three responses: the response that is being sent, and two
// more.
func TestApplicationBeginsFewResponsesForAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	const requests, size = 6, 8 << 20
	for _, path := range []string{"/whole", "/items", "/generator", "/handler", "/asgi"} {
		t.Run(path[1:], func(t *testing.T) {
			fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
				s := fapwstest.Serve(t, m, "ahead.py")
				begun := func() int {
					where := "/begun"
					if path == "/asgi" || path == "/handler" {
						where = "/async/begun"
					}
					n, _ := strconv.Atoi(s.Get(where, 200).Text)
					return n
				}
				w := s.Dial()
				_ = w.Conn.(*net.TCPConn).SetReadBuffer(256 << 10)
				w.Send(strings.Repeat(fapwstest.Get(path), requests))
				fapwstest.Eventually(t, "the first has begun", func() bool { return begun() > 0 })
				for range 20 {
					if n := begun(); n > 3 {
						t.Fatalf("%d have begun, and nothing was read", n)
					}
				}
				for i := range requests {
					r := w.Head("GET")
					number := make([]byte, 8)
					if _, err := io.ReadFull(r.Body, number); err != nil {
						t.Fatal(i, err)
					}
					n, err := io.Copy(io.Discard, r.Body)
					if err != nil || n+8 != size {
						t.Fatalf("answer %d: %d bytes, %v", i, n+8, err)
					}
				}
				if n := begun(); n != requests {
					t.Errorf("%d have begun", n)
				}
			})
		})
	}
}
