package acceptance

import (
	"io"
	"strings"
	"testing"
)

// --timeout cancels a task and says where it stood; a client that is waited for
// is not the application's fault.
func TestASGITimeout(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "asgi/deadline.py:app", flags: []string{"--timeout", "3s"}, complains: true}.serve(t, m)
		w := s.dial()
		w.send("POST /receives HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
		s.get("/hangs", 504)
		s.says(`cancelled /hangs`)
		s.says(`deadline\.py", line \d+, in deeper|deadline\.py:\d+`)
		x := s.dial()
		x.get("/begun")
		if text, _ := io.ReadAll(x.in); !strings.HasSuffix(string(text), "\r\n\r\n5\r\nbegun\r\n") {
			t.Errorf("a response that hangs: %q", text)
		}
		s.says(`cancelled /begun`)
		s.dial().inTime("/ok").is(t, "ok")
		if strings.Contains(s.stderr.String(), "cancelled /receives") {
			t.Error("it was cancelled while its client was waited for")
		}
		w.reset()
		s.says(`disconnected`)
	})
}
