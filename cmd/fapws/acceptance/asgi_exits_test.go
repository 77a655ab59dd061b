package acceptance

import (
	"net"
	"testing"
)

// The asyncio thread goes on after what asyncio lets through its event loop: sys.exit and
// KeyboardInterrupt of a task that is no request's, as middlewares make them, and stop().
func TestASGIExits(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		for _, loop := range []string{"asyncio", "auto"} {
			s := command{script: "asgi/exits.py:app", flags: []string{"--loop", loop}, complains: true}.serve(t, m)
			for _, path := range []string{"/task", "/callback", "/stop", "/ok"} {
				s.get(path, 200).is(t, "ok")
			}
			s.says(`a task has left`)
			s.says(`a callback has left`)
		}
	})
}

// An application that returns when it is told that its client has shut down its side has
// made no mistake: nothing is said of it.
func TestASGIHalfClose(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "asgi/exits.py:app"}.serve(t, m)
		for _, path := range []string{"/told", "/told/begun"} {
			w := s.dial()
			w.get(path)
			_ = w.Conn.(*net.TCPConn).CloseWrite()
			w.closed()
		}
		s.get("/ok", 200).is(t, "ok")
	})
}
