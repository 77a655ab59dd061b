package python_test

import (
	"net"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// SystemExit and KeyboardInterrupt of a background task, such as a task of a middleware, also end run_forever() of
// asyncio. An application may also call stop() of the event loop.
func TestASGIThreadSurvivesExitsOfBackgroundTasks(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		for _, loop := range []string{"asyncio", "auto"} {
			s := fapwstest.Command{Script: "asgi/exits.py:app", Flags: []string{"--loop", loop},
				Complains: true}.Serve(t, m)
			for _, path := range []string{"/task", "/callback", "/stop", "/ok"} {
				s.Get(path, 200).Is(t, "ok")
			}
			s.Get("/cancelled", 500)
			s.Says(`a task has left`)
			s.Says(`a callback has left`)
		}
	})
}

func TestASGIApplicationMayReturnAfterAHalfClose(t *testing.T) {
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
