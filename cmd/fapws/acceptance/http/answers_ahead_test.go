package http_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// While the client does not read, the application begins only three responses: the response that is being sent, and two
// more.
func TestApplicationBeginsFewResponsesForAClientThatDoesNotRead(t *testing.T) {
	const requests, size = 6, 8 << 20
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "ahead.py")
		for path, count := range map[string]string{"/whole": "/begun", "/items": "/begun", "/generator": "/begun",
			"/handler": "/async/begun", "/asgi": "/async/begun"} {
			before := s.Get(count, 200).Number(t)
			begun := func() int { return s.Get(count, 200).Number(t) - before }
			w := s.Dial()
			_ = w.Conn.(*net.TCPConn).SetReadBuffer(256 << 10)
			w.Send(strings.Repeat(fapwstest.Get(path), requests))
			fapwstest.Eventually(t, "the first has begun", func() bool { return begun() > 0 })
			for range 20 {
				n := begun()
				fapwstest.Needf(t, n <= 3, "%s: %d have begun, and nothing was read", path, n)
			}
			for i := range requests {
				n, err := io.Copy(io.Discard, w.Head("GET").Body)
				fapwstest.Needf(t, err == nil && n == size, "%s: answer %d: %d bytes, %v", path, i, n, err)
			}
			fapwstest.Equalf(t, begun(), requests, "%s: requests begun", path)
		}
	})
}
