package python_test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestASGIBackPressureBoundsTheMemoryOfADownload(t *testing.T) {
	t.Parallel()
	const (
		size  = 64 << 20
		bound = 24 << 20
	)
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/flow.py:app")
	s.Get("/download/warm?100000", 200)
	before := s.RSS()
	w := s.Dial()
	_ = w.Conn.(*net.TCPConn).SetReadBuffer(256 << 10)
	w.Get("/download/1?" + strconv.Itoa(size))
	r := w.Head("GET")
	progress := func() int { return s.Get("/sent/download/1", 200).Number(t) }
	last := -1
	fapwstest.Eventually(t, "the application waits for the client", func() bool {
		time.Sleep(100 * time.Millisecond)
		now := progress()
		waits := now == last
		last = now
		return waits && now > 0
	})
	fapwstest.Truef(t, last <= 16<<20, "the application has sent %d bytes to a client that reads nothing", last)
	n, err := io.Copy(io.Discard, r.Body)
	fapwstest.Truef(t, n == size && err == nil, "%d bytes, %v", n, err)
	grown := s.RSS() - before
	fapwstest.Truef(t, grown <= bound, "the server has %d MiB more", grown>>20)
}

// In each request, and in its tasks and threads, context variables start with the values that they had after the import
// of the application.
func TestASGIContextVariablesBelongToTheirRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/context.py:app")
	var all []*fapwstest.Client
	for i := range 20 {
		w := s.Dial()
		w.Get(fmt.Sprintf("/steps?%d", i))
		all = append(all, w)
	}
	for i, w := range all {
		w.Answer().Is(t, fmt.Sprintf("import %d", i))
		w.Get(fmt.Sprintf("/receive?again%d", i))
	}
	for i, w := range all {
		w.Answer().Is(t, fmt.Sprintf("import again%d", i))
	}
	s.Get("/thread?x", 200).Is(t, "x in another thread: True")
	s.Get("/task?x", 200).Is(t, "Task True True True True")
	s.Get("/timeout?x", 200).Is(t, "timeout x")
}

func TestASGIResponsesHaveValidBodiesLengthsAndFields(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/files.py:app", Complains: true}.Serve(t, fapwstest.Threads)
	for _, status := range []string{"204", "304"} {
		w := s.Dial()
		w.Send(fapwstest.Get("/status/"+status), fapwstest.Get("/status/200"))
		a := w.Answer()
		fapwstest.Truef(t, a.Text == "" && a.Header.Get("Transfer-Encoding") == "", "%s: %q %v", status, a.Text, a.Header)
		w.Answer().Is(t, "helloworld")
	}
	w := s.Dial()
	w.Send(fapwstest.Request("HEAD", "/status/200", ""), fapwstest.Get("/status/404"))
	a := w.AnswerTo("HEAD")
	fapwstest.Truef(t, a.StatusCode == 200 && a.Text == "", "HEAD: %q", a.Text)
	w.Answer().Want(t, 404, "helloworld")

	w = s.Dial()
	w.Send(fapwstest.Get("/length/7/ab"), fapwstest.Get("/length/5/a"), fapwstest.Get("/length/0/"),
		fapwstest.Get("/length/0/ab"))
	for _, want := range []string{"aaaaabb", "aaaaa", "", ""} {
		w.Answer().Is(t, want)
	}
	s.Says(`body exceeds its Content-Length`)
	w = s.Dial()
	w.Send(fapwstest.Get("/length/12/ab"), fapwstest.Get("/length/5/a"))
	a = w.Answer()
	fapwstest.Truef(t, a.Err != nil && a.Text == "aaaaabbbbb", "a short body: %q, %v", a.Text, a.Err)
	s.Says(`body has 10 bytes, but its Content-Length is 12`)
	w = s.Dial()
	w.Send("GET /status/200 HTTP/1.0\r\n\r\n")
	if text := w.Rest(); !strings.HasSuffix(text, "\r\n\r\nhelloworld") || strings.Contains(text, "chunked") {
		t.Errorf("HTTP/1.0: %q", text)
	}

	a = s.Get("/fields", 200)
	a.Field(t, "X-Upper", "1").Field(t, "Set-Cookie", "a=1, b=2").Field(t, "X-High", "\xe9").Field(t, "Server",
		"mine").Field(t, "Date", "today")
	fapwstest.Truef(t, a.Close, "Connection: close of the application is not heeded")
}

func TestASGIPathsendSendsTheFileOfAPath(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "asgi/files.py:app")
		want := s.Get("/path/files.py", 200).Field(t, "Content-Type", "text/plain")
		fapwstest.Truef(t, want.ContentLength == int64(len(want.Text)) && strings.HasPrefix(want.Text, `"""Sends files`),
			"%d, %.60q", want.ContentLength, want.Text)
		w := s.Dial()
		w.Send(fapwstest.Request("HEAD", "/path/files.py", ""), fapwstest.Get("/relative/files.py"),
			fapwstest.Get("/path/missing"), fapwstest.Get("/path"), fapwstest.Get("/bytes/files.py"))
		a := w.AnswerTo("HEAD")
		fapwstest.Truef(t, a.ContentLength == want.ContentLength && a.Text == "", "HEAD: %d, %q", a.ContentLength, a.Text)
		w.Answer().Is(t, want.Text)
		w.Answer().Want(t, 200, "FileNotFoundError: [Errno 2]", "missing'")
		w.Answer().Want(t, 200, "IsADirectoryError: [Errno 21]")
		w.Answer().Want(t, 200, "TypeError: send(): 'path' of 'http.response.pathsend' must be a str")
	})
}
