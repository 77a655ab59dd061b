package python_test

import (
	"net"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The asyncio thread survives the exceptions that asyncio lets through its event loop: sys.exit and
// KeyboardInterrupt of a background task, as middlewares start them, and stop().
func TestASGIExits(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		for _, loop := range []string{"asyncio", "auto"} {
			s := fapwstest.Command{Script: "asgi/exits.py:app", Flags: []string{"--loop", loop}, Complains: true}.Serve(t, m)
			for _, path := range []string{"/task", "/callback", "/stop", "/ok"} {
				s.Get(path, 200).Is(t, "ok")
			}
			s.Get("/cancelled", 500)
			s.Says(`a task has left`)
			s.Says(`a callback has left`)
		}
	})
}

// An application that returns when its client has shut down its side has
// made no mistake: nothing is logged.
func TestASGIHalfClose(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/exits.py:app"}.Serve(t, m)
		for _, path := range []string{"/told", "/told/begun"} {
			w := s.Dial()
			w.Get(path)
			_ = w.Conn.(*net.TCPConn).CloseWrite()
			w.Closed()
		}
		s.Get("/ok", 200).Is(t, "ok")
	})
}
