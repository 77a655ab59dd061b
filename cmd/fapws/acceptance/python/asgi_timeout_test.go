package python_test

import (
	"io"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The timeout does not apply while a task waits for its client.
func TestASGITimeoutCancelsATaskAndLogsItsPosition(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/deadline.py:app", Flags: []string{"--timeout", "1s"},
			Complains: true}.Serve(t, m)
		w := s.Dial()
		w.Send("POST /receives HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
		s.Until504("/hangs", `cancelled /hangs`)
		s.Says(`deadline\.py", line \d+, in deeper|deadline\.py:\d+`)
		// On a busy machine, the request may time out before its task starts.
		for {
			x := s.Dial()
			x.Send(fapwstest.Get("/begun", "Connection: close"))
			text, _ := io.ReadAll(x.In)
			if strings.HasSuffix(string(text), "\r\n\r\n5\r\nbegun\r\n") {
				break
			} else if !strings.HasPrefix(string(text), "HTTP/1.1 504 ") {
				t.Fatalf("a response that hangs: %q", text)
			}
		}
		s.Says(`cancelled /begun`)
		s.Dial().InTime("/ok").Is(t, "ok")
		if strings.Contains(s.Stderr.String(), "cancelled /receives") {
			t.Error("it was cancelled while its client was waited for")
		}
		w.Reset()
		s.Says(`disconnected`)
	})
}
