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
		s.until504("/hangs", `cancelled /hangs`)
		s.says(`deadline\.py", line \d+, in deeper|deadline\.py:\d+`)
		for { // on a busy machine, its time may be up before it begins
			x := s.dial()
			x.send(get("/begun", "Connection: close"))
			text, _ := io.ReadAll(x.in)
			if strings.HasSuffix(string(text), "\r\n\r\n5\r\nbegun\r\n") {
				break
			} else if !strings.HasPrefix(string(text), "HTTP/1.1 504 ") {
				t.Fatalf("a response that hangs: %q", text)
			}
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
