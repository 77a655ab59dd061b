package http_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

func TestServerWithFewDescriptorsServesAllClientsInTheEnd(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "returns.py", Shell: "ulimit -n 64"}.Serve(t, fapwstest.Threads)
	const clients = 300
	crowd := make([]*fapwstest.Client, clients)
	for i := range crowd {
		crowd[i] = s.Dial()
		crowd[i].Send(fapwstest.Get([]string{"/str", "/generator", "/bytes"}[i%3], "Connection: close"))
	}
	var all sync.WaitGroup
	for _, w := range crowd {
		all.Go(func() { w.Answer().Want(t, 200) })
	}
	all.Wait()
	for _, path := range []string{"/str", "/big", "/html"} {
		s.Get(path, 200)
	}
}

func TestRequestsBeyondTheQueueGet503WithRetryAfter(t *testing.T) {
	// The test runs with threads only, because inline mode has no queue.
	t.Parallel()
	s, folder := fapwstest.ServeSlow(t, fapwstest.Threads, "--threads", "1", "--max-queue", "3")
	first := s.DialGet("/wait")
	fapwstest.FileSays(t, folder+"/entered", "yes")
	answers := make([]*fapwstest.Answer, 10)
	var all sync.WaitGroup
	refused := make(chan int, len(answers))
	for i := range answers {
		w := s.Dial()
		all.Go(func() {
			answers[i] = w.Fetch("/")
			if answers[i].StatusCode == 503 {
				refused <- i
			}
		})
	}
	for range len(answers) - 3 {
		<-refused
	}
	fapwstest.Write(t, folder+"/go", "")
	first.Answer().Is(t, "waited")
	all.Wait()
	for _, a := range answers {
		if a.StatusCode == 503 {
			fapwstest.Truef(t, a.Header.Get("Retry-After") != "" && !a.Close, "503 with %q, close %v", a.Header, a.Close)
		} else {
			a.Is(t, "quick")
		}
	}
	s.Get("/", 200).Is(t, "quick")
}

func TestOneThreadRunsOneHandlerAtATime(t *testing.T) {
	t.Parallel()
	for _, threads := range []string{"0", "1"} {
		s, _ := fapwstest.ServeSlow(t, fapwstest.Mode{}, "--workers", "1", "--threads", threads)
		var all sync.WaitGroup
		for range 10 {
			w := s.Dial()
			all.Go(func() {
				w.Send(fapwstest.Get("/sleeping"), fapwstest.Get("/sleeping"))
				w.Answer().Is(t, "slept")
				w.Answer().Is(t, "slept")
			})
		}
		all.Wait()
		s.Get("/most", 200).Is(t, "1")
	}
}

func TestFilesAreSentWhileAllThreadsRunHandlers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "files.py", Args: []string{folder}, Flags: []string{"--threads", "2"}}.Serve(t,
		fapwstest.Threads)
	fapwstest.Write(t, folder+"/site/one.txt", "one")
	slow := []*fapwstest.Client{s.Dial(), s.Dial()}
	for i, w := range slow {
		w.Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", strings.Repeat("yes\n", i+1))
	}
	for range 20 {
		s.Get("/static/one.txt", 200).Is(t, "one")
		s.Get("/nothing", 404)
	}
	fapwstest.Write(t, folder+"/go", "")
	for _, w := range slow {
		w.Answer().Is(t, "waited")
	}
}

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
		return fapwstest.Serve(t, fapwstest.Threads, fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), text))
	}
	s := serve(wsgiSize)
	const above = 10<<20 + 1
	s.Ask(announced(above)+strings.Repeat("b", above)).Is(t, fmt.Sprint(above, " bytes"))
	for range 2 {
		fapwstest.TooBig(t, s, announced(1<<30+1), "")
	}
	line := `warning .*sent 413: the request body is too large: size 1073741825 or more, limit 1073741824 \(--max-body-size\)`
	s.Says(line)
	fapwstest.Equalf(t, len(regexp.MustCompile(line).FindAllString(s.Stderr.String(), -1)), 1, "lines")

	w := serve(asgiSize).Dial()
	w.Send(announced(1<<40) + strings.Repeat("b", 1000))
	w.Answer().Is(t, "takes it")
}

// Visitors cannot change the settings of the server, so only the pages of --dev name them.
func TestPageNamesTheSettingOfALimitForDevelopersOnly(t *testing.T) {
	t.Parallel()
	for _, dev := range []bool{false, true} {
		c := fapwstest.Command{Script: "entered.py", Flags: []string{"--max-body-size", "10"}, Complains: true}
		if dev {
			c.Flags = append(c.Flags, "--dev")
		}
		a := c.Serve(t, fapwstest.Workers).Ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n").
			Want(t, 413, "the request body is too large: at most 10 bytes")
		fapwstest.Equalf(t, strings.Contains(a.Text, "(--max-body-size)"), dev, "--dev %v: %s", dev, a.Text)
	}
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
	_ = s.Socket("/callbacks").Send(wstest.Binary, make([]byte, 16<<20+1))
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

	open := fapwstest.Repeat(6, func(int) *wstest.Client { return s.Socket("/callbacks") })
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

func TestBodyAboveMaxBodySizeIsRejectedBeforeTheHandlerRuns(t *testing.T) {
	t.Parallel()
	const most = 10_485_760
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
	s.Ask(fapwstest.Request("POST", "/", strings.Repeat("b", most))).Is(t, "10485760 bytes")
	fapwstest.TooBig(t, s, fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", most+1), "")
	s = fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--max-body-size", "1K")
	body := strings.Repeat("b", 1024)
	s.Ask(fapwstest.Request("POST", "/", body)).Is(t, "1024 bytes")
	s.Ask(fapwstest.Chunked("POST", "/", body, 100)).Is(t, "1024 bytes")
	fapwstest.TooBig(t, s, fapwstest.Request("POST", "/", body+"b"), "")
	fapwstest.TooBig(t, s, fapwstest.Chunked("POST", "/", body+"b", 100), "")
	fapwstest.TooBig(t, s, fapwstest.Chunked("POST", "/", body+"b", 10_000), "")
	fapwstest.TooBig(t, s, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999\r\n\r\n", "")
	s.Get("/count", 200).Is(t, "2")
}

func TestObjectsThatAHandlerKeepsAreHarmlessAfterTheRequest(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "kept.py")
		for _, size := range []int{10, 1000, 400_000} {
			s.Ask(fapwstest.Request("POST", "/keep", strings.Repeat("b", size))).Is(t, "kept")
			s.Ask(fapwstest.Request("POST", "/use", strings.Repeat("c", size))).Is(t,
				"b'' StopIteration AssertionError None RuntimeError ''")
		}
	})
}

func TestLargeIncompleteBodiesLeaveDescriptorsToOtherClients(t *testing.T) {
	const waiting = 5
	s := fapwstest.Command{Script: "entered.py", Shell: "ulimit -n 256"}.Serve(t, fapwstest.Mode{})
	body := strings.Repeat("0123456789abcdef", 64<<10)
	digest := fmt.Sprintf("%d bytes", len(body))
	first := fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:400_000])
	all := s.DialMany(150, first)
	s.DialFrom("127.0.0.2").Ask(fapwstest.Request("POST", "/", body)).Is(t, digest)
	for _, w := range all[:len(all)-waiting] {
		w.Close()
	}
	for _, w := range all[len(all)-waiting:] {
		w.Send(body[400_000:])
		w.Answer().Is(t, digest)
	}
}
