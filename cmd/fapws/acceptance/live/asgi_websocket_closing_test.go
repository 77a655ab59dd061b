package live_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// The application may still send messages after the client's close frame has arrived, because the application has not
// received the disconnect event yet.
func TestASGIApplicationGetsMessagesThatPrecedeTheClose(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/closing.py:app", "--write-timeout", "3s")
	open := func(path string, messages ...string) *wstest.Client {
		c := s.Socket(path)
		var all []byte
		for _, m := range messages {
			all = c.AppendFrame(all, wstest.Fin|wstest.Text, []byte(m))
		}
		all = c.AppendFrame(all, wstest.Fin|wstest.Close, []byte("\x0f\xa1bye"))
		_, err := c.Conn.Write(all)
		fapwstest.Must(t, err)
		return c
	}
	noted := func(path, want string) {
		t.Helper()
		got := ""
		fapwstest.Eventually(t, path+" notes "+want, func() bool {
			got = s.Get("/noted"+path, 200).Text
			return len(got) >= len(want)
		})
		fapwstest.Equalf(t, got, want, "%s", path)
	}
	// closes returns the messages that precede the close frame. The server waits a second for the application
	// before it sends this frame.
	closes := func(c *wstest.Client) (before []string) {
		t.Helper()
		for {
			f, err := c.ReadFrame()
			fapwstest.Needf(t, err == nil, "%v after %v", err, before)
			if f.Op() == wstest.Close {
				code, _ := f.Code()
				fapwstest.Equalf(t, code, 4001, "closed with")
				break
			}
			if len(before) < 100 {
				before = append(before, string(f.Payload))
			}
		}
		c.Conn.Close()
		return before
	}

	for _, test := range []struct {
		path     string
		messages []string
		echoed   string
		noted    string
	}{
		{"/answers/none", nil, "", "disconnect 4001 bye OSError"},
		{"/answers/one", []string{"0"}, "0", "sent 0 disconnect 4001 bye OSError"},
		{"/answers/later", []string{"0", ".01", ".02"}, "0 .01 .02",
			"sent 0 sent .01 sent .02 disconnect 4001 bye OSError"},
		// The application answers too late, so the client gets no messages. The application still gets all messages
		// that the client sent before the close frame.
		{"/answers/slow", []string{"1.6", "0", ".0", "0.0"}, "",
			"sent 1.6 sent 0 sent .0 sent 0.0 disconnect 4001 bye OSError"},
		{"/listens", []string{"x", "y"}, "", "disconnect OSError"},
		{"/stays", nil, "", "websocket.disconnect"},
	} {
		began := time.Now()
		got := strings.Join(closes(open(test.path, test.messages...)), " ")
		fapwstest.Truef(t, got == test.echoed || time.Since(began) >= time.Second, "%s: the client got %q, want %q",
			test.path, got, test.echoed)
		noted(test.path, test.noted)
	}

	c := open("/answers/gone", "0.3", "0")
	c.Conn.Close()
	noted("/answers/gone", "sent 0.3 sent 0 disconnect 4001 bye OSError")

	// A task that never calls receive() can continue for a limited time.
	closes(open("/pushes"))
	noted("/pushes", "OSError")
	closes(open("/pushes/unread", "x", "y"))
	noted("/pushes/unread", "OSError")
	closes(open("/floods", "x"))
	noted("/floods", "OSError")
	c = open("/floods/unread")
	c.Conn.(*net.TCPConn).CloseWrite()
	noted("/floods/unread", "OSError")
	c = open("/counts/gone", "x")
	fapwstest.ResetSocket(c)
	s.Get("/gone", 200)
	noted("/counts/gone", "few")
}
