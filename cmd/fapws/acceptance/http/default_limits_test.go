package http_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

const wsgiSize = `
def application(environ, start_response):
    size = 0
    while piece := environ["wsgi.input"].read(1 << 20):
        size += len(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % size]
`

const asgiSize = `
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    size, event = 0, {"more_body": True}
    while event.get("more_body") and size < 1000:
        event = await receive()
        size += len(event.get("body", b""))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"takes it"})
`

func announced(n int64) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", n)
}

func TestDefaultBodyLimitDependsOnTheKindOfApplication(t *testing.T) {
	t.Parallel()
	serve := func(text string) *fapwstest.Server {
		script := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), text)
		return fapwstest.Serve(t, fapwstest.Threads, script)
	}
	s := serve(wsgiSize)
	const above = 10<<20 + 1
	s.Ask(announced(above)+strings.Repeat("b", above)).Is(t, fmt.Sprint(above, " bytes"))
	for range 2 {
		fapwstest.TooBig(t, s, announced(1<<30+1), "")
	}
	line := `warning .*sent 413: input body too big: size 1073741825 or more, limit 1073741824 \(--max-body-size\)`
	s.Says(line)
	fapwstest.Equalf(t, len(regexp.MustCompile(line).FindAllString(s.Stderr.String(), -1)), 1, "lines")

	w := serve(asgiSize).Dial()
	w.Send(announced(1<<40) + strings.Repeat("b", 1000))
	w.Answer().Is(t, "takes it")
}

func TestLogNamesTheLimitThatARequestHeadExceeds(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
	field := func(n int) string { return "X: " + strings.Repeat("a", n) + "\r\n" }
	for _, c := range []struct {
		line, fields string
		status       int
		says         string
	}{
		{"GET /count", field(32_000) + field(30_000), 200, ""},
		{"GET /count", field(33_000), 431,
			`header field too long: size 330\d\d or more, limit 32768 \(--limit-request-field-size\)`},
		{"GET /count", strings.Repeat(field(16_000), 5), 431,
			`headers too large: size \d+ or more, limit 65536 \(--limit-request-head\)`},
		{"GET /count", strings.Repeat(field(1), 100), 431,
			`too many headers: size 10\d or more, limit 100 \(--limit-request-fields\)`},
		{"GET /" + strings.Repeat("a", 9000), "", 414,
			`request line too long: size 90\d\d or more, limit 8192 \(--limit-request-line\)`},
	} {
		s.Ask(c.line+" HTTP/1.1\r\nHost: a\r\n"+c.fields+"\r\n").Want(t, c.status)
		if c.says != "" {
			s.Says(fmt.Sprintf("sent %d: %s", c.status, c.says))
		}
	}
	// The field Accept of a browser has not arrived yet.
	s.Ask("GET /"+strings.Repeat("a", 9000)).Want(t, 414, "<h1>URI Too Long</h1>")
}

// The server keeps only a few messages of this size in memory for each client address.
func TestWebSocketAcceptsMessagesOf16MiB(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, filepath.Join("..", "live", "testdata", "echo.py"))
	c := s.Socket("/callbacks")
	fapwstest.Must(t, c.Send(wstest.Binary, make([]byte, 2<<20)))
	fapwstest.Hears(t, c, string(make([]byte, 2<<20)))
	fapwstest.Must(t, c.WriteFrame(wstest.Fin|wstest.Binary, make([]byte, 1<<20)))
	tooBig := s.Socket("/callbacks")
	_ = tooBig.Send(wstest.Binary, make([]byte, 16<<20+1))
	s.Says(`WebSocket closed with 1009: a message is too big: size 16777217 or more, limit 16777216 \(--ws-max-size\)`)

	var open []*wstest.Client
	for range 4 {
		c := s.Socket("/callbacks")
		open = append(open, c)
		_ = c.WriteFrame(wstest.Binary, make([]byte, 15<<20))
	}
	s.Says(`WebSocket closed with 1009: too many bytes of messages of this client are in memory`)
	for _, c := range open {
		c.Conn.Close()
	}
	fapwstest.Eventually(t, "the share is free again", func() bool {
		c := s.Socket("/callbacks")
		defer c.Conn.Close()
		if c.Send(wstest.Binary, make([]byte, 2<<20)) != nil {
			return false
		}
		_, message, err := c.Receive()
		return err == nil && len(message) == 2<<20
	})
}

func TestIncompleteMessagesOfOneAddressShareOneMemoryLimit(t *testing.T) {
	t.Parallel()
	const sockets, size, pieces = 40, 1<<20 - 1, 16
	s := fapwstest.Serve(t, fapwstest.Threads, filepath.Join("..", "live", "testdata", "echo.py"))
	for _, fragments := range []bool{false, true} {
		var open []*wstest.Client
		for range sockets {
			c := s.Socket("/callbacks")
			open = append(open, c)
			if !fragments {
				_ = c.WriteFrame(wstest.Binary, make([]byte, size))
				continue
			}
			for i := range pieces {
				op := byte(wstest.Binary)
				if i > 0 {
					op = wstest.Continuation
				}
				frames := c.AppendFrame(nil, op, make([]byte, size/pieces))
				_, _ = c.Conn.Write(c.AppendFrame(frames, wstest.Fin|wstest.Ping, nil))
			}
		}
		refused := 0
		for _, c := range open {
			_ = c.WriteFrame(wstest.Fin|wstest.Ping, []byte("end"))
		}
		for _, c := range open {
			var f wstest.Frame
			var err error
			for err == nil && f.Op() != wstest.Close && string(f.Payload) != "end" {
				f, err = c.ReadFrame()
			}
			if err != nil || f.Op() == wstest.Close {
				refused++
			}
		}
		fapwstest.Truef(t, refused != 0 && refused != sockets, "fragments %v: %d of %d WebSockets closed", fragments, refused,
			sockets)
		for _, c := range open {
			c.Conn.Close()
		}
	}
	s.Says(`WebSocket closed with 1009: too many bytes of messages of this client are in memory`)

	var open []*wstest.Client
	for range 6 {
		open = append(open, s.Socket("/callbacks"))
	}
	const last = 7
	for i := range last + 1 {
		op := byte(wstest.Continuation)
		switch i {
		case 0:
			op = wstest.Binary
		case last:
			op |= wstest.Fin
		}
		for _, c := range open {
			_ = c.WriteFrame(op, make([]byte, 3<<19))
		}
	}
	received := 0
	for _, c := range open {
		if _, message, err := c.Receive(); err == nil && len(message) == (last+1)*3<<19 {
			received++
		}
	}
	fapwstest.Truef(t, received >= 2, "messages that arrived at the same time: %d of %d were received", received,
		len(open))
}
