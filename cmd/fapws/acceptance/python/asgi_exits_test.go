package python_test

import (
	"net"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// If a background task raises SystemExit or KeyboardInterrupt, asyncio's run_forever() ends. It also ends if the
// application calls stop() of the event loop. The server must run the event loop again.
func TestASGIThreadSurvivesExitsOfBackgroundTasks(t *testing.T) {
	t.Parallel()
	for _, loop := range []string{"asyncio", "auto"} {
		s := fapwstest.Command{Script: "asgi/exits.py:app", Flags: []string{"--loop", loop},
			Complains: true}.Serve(t, fapwstest.Threads)
		for _, path := range []string{"/task", "/callback", "/stop", "/ok"} {
			s.Get(path, 200).Is(t, "ok")
		}
		s.Get("/cancelled", 500)
		s.Says(`a task has left`)
		s.Says(`a callback has left`)
		for _, path := range []string{"/told", "/told/begun"} { // they return after a half-close
			w := s.Dial()
			w.Get(path)
			_ = w.Conn.(*net.TCPConn).CloseWrite()
			w.Closed()
		}
		s.Get("/ok", 200).Is(t, "ok")
	}
}
