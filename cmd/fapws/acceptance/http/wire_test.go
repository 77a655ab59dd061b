package http_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func answers(w *fapwstest.Client) string {
	w.T.Helper()
	var all []string
	for r := bufio.NewReader(strings.NewReader(w.Rest())); ; {
		a, err := http.ReadResponse(r, nil)
		if err != nil {
			return strings.Join(all, " ")
		}
		body, err := io.ReadAll(a.Body)
		fapwstest.Truef(w.T, err == nil, "after %q: %v", all, err)
		all = append(all, fmt.Sprintf("%d:%s", a.StatusCode, strings.TrimSpace(string(body))))
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	const last = "GET /say?last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	get := func(target string) string { return fapwstest.Get(target) }
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "wire.py")
		for _, c := range []struct{ name, sent, want string }{
			{"one", last, "200:GET last"},
			{"1.0 closes", "GET /say?1 HTTP/1.0\r\n\r\n" + last, "200:GET 1"},
			{"1.0 keep-alive", "GET /say?1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /say?2 HTTP/1.0\r\n\r\n",
				"200:GET 1 200:GET 2"},
			{"1.0 keep-alive of a body",
				"POST /echo HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nabGET /say?2 " +
					"HTTP/1.0\r\n\r\n", "200:ab 200:GET 2"},
			{"close in a list", "GET /say?1 HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n" + last, "200:GET 1"},
			{"order", get("/later?1") + get("/say?2") + last, "200:later 1 200:GET 2 200:GET last"},
			{"bodies", fapwstest.Request("POST", "/echo", "hello") + fapwstest.Chunked("POST", "/echo", "hello world",
				4) + last, "200:hello 200:hello world 200:GET last"},
			{"malformed behind an active one", get("/later?1") + "BAD\r\n\r\n" + last, "200:later 1 400:malformed request line"},
			{"options *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + last, "204: 200:GET last"},
			{"no handler", get("/none") + last, "404:Not Found 200:GET last"},
		} {
			fapwstest.Equalf(t, answers(s.DialSend(c.sent)), c.want, "%s", c.name)
		}
		for _, c := range []struct{ sent, want string }{
			{get("/later?1") + get("/later?2"), "200:later 1 200:later 2"},
			{get("/later?1") + fapwstest.Request("POST", "/echo", "hi"), "200:later 1 200:hi"},
			{get("/later?1") + "GET /unfinished HT", "200:later 1"},
			{"GET /unfinished HT", ""},
			{"", ""},
		} {
			w := s.DialSend(c.sent)
			w.Conn.(*net.TCPConn).CloseWrite()
			fapwstest.Equalf(t, answers(w), c.want, "%q, half-closed", c.sent)
		}
	})
}

// Safe requests of a connection may run at the same time (RFC 9112 §9.3.2).
func TestUnsafeRequestsRunAlone(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "wire.py")
	w := s.Dial()
	w.Send(fapwstest.Get("/later?1"), fapwstest.Request("POST", "/echo?2", ""), fapwstest.Get("/later?3"),
		fapwstest.Request("GET", "/echo?4", "body"), fapwstest.Request("BREW", "/later?5", ""), fapwstest.Get("/echo?6"))
	for range 6 {
		w.Answer().Want(t, 200)
	}
	s.Get("/ended", 200).Is(t, "1 2 3 4 5 6")
}

func TestBodyAfterAnEarlyResponseIsNotParsedAsARequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "wire.py", "--body-timeout", "1s")
	smuggled := fapwstest.Get("/say?smuggled")
	for _, path := range []string{"/none", "/early"} {
		w := s.DialSend(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", path, len(smuggled)+100))
		w.Answer().Want(t, 404)
		w.Send(smuggled)
		w.Closed()
	}
	w := s.DialSend("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nx")
	w.Answer().Want(t, 404)
	w.Send(strings.Repeat("x", 59_999), fapwstest.Get("/say?next"))
	w.Answer().Want(t, 200).Is(t, "GET next")
}

func TestClientCanDetectAnAbortedResponse(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "wire.py", Complains: true}.Serve(t, fapwstest.Threads)
	w := s.DialSend("GET /broken HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(w.In)
	fapwstest.Truef(t, errors.Is(err, syscall.ECONNRESET), "HTTP/1.0: %q, %v", text, err)
	w = s.Dial()
	a := w.Fetch("/broken")
	fapwstest.Truef(t, a.Err != nil && a.Text == "half", "HTTP/1.1: %q, %v", a.Text, a.Err)
	// The request body is malformed, but the server notices this only after the response has begun.
	w = s.DialSend(chunkTo("/begins", "1\r\na\r\n"))
	r := w.Head("POST")
	fapwstest.Try(io.ReadFull(r.Body, make([]byte, 5))).Must(t)
	w.Send("x\r\n")
	rest, err := io.ReadAll(r.Body)
	fapwstest.Truef(t, err != nil, "a malformed body: %q", rest)
}

func chunkTo(path, body string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
}

func TestInputIsReadWhileThereIsRoom(t *testing.T) {
	t.Parallel()
	const most, more = 40 << 20, 64 << 20
	s := fapwstest.Serve(t, fapwstest.Threads, "wire.py", "--body-timeout", "8s", "--max-body-size", "100M")
	before := s.RSS()
	block := make([]byte, 1<<20)
	fill := func(w *fapwstest.Client, text func() []byte) (sent int) {
		for sent < more {
			w.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := w.Write(text())
			if sent += n; err != nil {
				break
			}
		}
		w.SetWriteDeadline(time.Now().Add(fapwstest.Patience))
		return sent
	}
	w := s.DialSend(fmt.Sprintf("POST /patient?11 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", more))
	sent := fill(w, func() []byte { return block })
	fapwstest.Truef(t, sent <= most, "the server read %d bytes of a body that no handler reads", sent)
	_, err := w.Write(make([]byte, more-sent))
	fapwstest.Equal(t, err, nil)
	w.Answer().Want(t, 200).Is(t, fmt.Sprint(more))

	w = s.DialGet("/stuck")
	request := []byte(fapwstest.Request("POST", "/echo", strings.Repeat("x", 100_000)))
	n := fill(w, func() []byte { return request })
	fapwstest.Truef(t, n <= most, "%d bytes of requests were read behind one that is active", n)
	s.GrownAtMost(before, 48<<20)
	// The client shuts down its sending side. For the server, this is the same as a disconnect, so the server closes
	// the connection although the handler is running.
	w = s.DialGet("/stuck")
	w.Conn.(*net.TCPConn).CloseWrite()
	w.Closed()
	s.Get("/go", 200)
}

func TestResponseDoesNotDependOnHowRequestBytesAreSplit(t *testing.T) {
	t.Parallel()
	requests := fapwstest.Request("POST", "/echo?1", "one", "X-Field: value") + fapwstest.Chunked("POST", "/echo?2",
		"two and more", 5) + "\r\n" + fapwstest.Get("/say?3")
	want := func(w *fapwstest.Client) {
		w.T.Helper()
		w.Answer().Is(w.T, "one")
		w.Answer().Is(w.T, "two and more")
		w.Answer().Is(w.T, "GET 3")
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "wire.py")
	w := s.Dial()
	for i := range len(requests) {
		w.Send(requests[i : i+1])
	}
	want(w)
	for i := 1; i < len(requests); i++ {
		w.Send(requests[:i])
		// For every seventh cut, a response on a different connection shows that the server has read the first piece.
		if i%7 == 0 {
			s.Get("/say?x", 200)
		}
		w.Send(requests[i:])
		want(w)
	}
}

func TestClientThatExpectsContinueGets100BeforeItsBody(t *testing.T) {
	t.Parallel()
	const head = " / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--max-body-size", "1000")
	w := s.Dial()
	for range 3 {
		w.Send("POST", head, "Content-Length: 4\r\n\r\n")
		r := w.Head("POST")
		fapwstest.Needf(t, r.StatusCode == 100 && len(r.Header) == 0, "%d %q instead of 100", r.StatusCode, r.Header)
		w.Send("body")
		w.Answer().Is(t, "4 bytes")
	}
	w.Send("PUT", head, "Transfer-Encoding: chunked\r\n\r\n")
	r := w.Head("PUT")
	fapwstest.Needf(t, r.StatusCode == 100, "%d instead of 100", r.StatusCode)
	w.Send("2\r\nab\r\n0\r\n\r\n")
	w.Answer().Is(t, "2 bytes")
	if a := w.Ask("POST", head, "Content-Length: 4\r\n\r\nbody"); a.StatusCode == 100 {
		w.Answer().Is(t, "4 bytes")
	} else {
		a.Is(t, "4 bytes")
	}
	w.Ask("GET", head, "\r\n").Is(t, "0 bytes")
	fapwstest.TooBig(t, s, "POST"+head+"Content-Length: 1001\r\n\r\n", "")
	w = s.Dial() // HTTP/1.0 has no 100 (Continue)
	w.Ask("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody").Is(t, "4 bytes")
	s.Ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 4\r\n\r\nbody").Want(t, 417)
}

func TestClientInputCannotInjectFieldsOrResponses(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "headers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, where := range []string{"value", "name", "status", "added", "cookie"} {
		for _, what := range []string{"cr", "lf", "crlf", "nul"} {
			got := s.DialSend(fapwstest.Get("/"+where+"?"+what, "Connection: close")).Rest()
			fapwstest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 500 ") && !strings.Contains(got, "Injected") &&
				!strings.Contains(got, "\x00") && strings.Count(got, "HTTP/1.") == 1, "%s with %s: %q", where, what, got)
		}
	}
}

func TestResponsesHaveDateAndServerUnlessTheHandlerSetsThem(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "headers.py")
	a := s.Get("/", 200).Field(t, "Server", "fapws")
	date, err := http.ParseTime(a.Header.Get("Date"))
	off := time.Since(date).Abs()
	fapwstest.Truef(t, err == nil && off <= time.Minute, "Date %q: %v, off by %v", a.Header.Get("Date"), err, off)
	s.Ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").Want(t, 204).Field(t, "Allow",
		"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	s.Get("/own", 200).Field(t, "Server", "mine", "Date", "Thu, 01 Jan 1970 00:00:00 GMT")
	for _, target := range []string{"/nothing-here", "/own?"} {
		a := s.Ask("GET " + target + " HTTP/1.1\r\n\r\n")
		fapwstest.Truef(t, a.Header.Get("Date") != "" && a.Header.Get("Server") != "", "%q has no Date or Server", a.Header)
	}
}

func TestResponseToHEADIsTheResponseToGETWithoutTheBody(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "returns.py")
		for _, path := range []string{"/str", "/bytes", "/list", "/dict", "/typed", "/file", "/html", "/bytesio",
			"/generator", "/written", "/nothing"} {
			head := func(method string) string {
				w := s.DialSend(fapwstest.Request(method, path, "", "Connection: close"))
				head, body, _ := strings.Cut(w.Rest(), "\r\n\r\n")
				fapwstest.Truef(t, method != "HEAD" || body == "", "HEAD %s has the body %q", path, body)
				var lines []string
				for _, line := range strings.Split(head, "\r\n") {
					if !strings.HasPrefix(line, "Date: ") {
						lines = append(lines, line)
					}
				}
				return strings.Join(lines, "\n")
			}
			fapwstest.Equalf(t, head("HEAD"), head("GET"), "%s: HEAD and GET", path)
		}
	})
}

func TestStatusThatClientsDoNotUnderstandIsAHandlerError(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "headers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, status := range []string{"abc", "99", "1000", "100", "101", "103", "", "-200", "2%300"} {
		s.Get("/code?"+status, 500)
	}
}

// The test does not run inline. Inline, the thread of the event loop runs close(), so no response can be sent until
// close() returns.
func TestResponseDoesNotWaitForCloseOfItsIterable(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "closing.py")
	w := s.Dial()
	for range 100 {
		w.Fetch("/answer").Is(t, "answer")
	}
	w.Fetch("/answer?waits").Is(t, "answer")
	s.Get("/release", 200).Is(t, "released")
}

func TestCloseOfAResultIsAlwaysCalled(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := fapwstest.ServeSlow(t, m)
		closes := func(w *fapwstest.Client) { w.Close() }
		for _, c := range []struct {
			name, path string
			leave      func(*fapwstest.Client)
		}{
			{"reset in a stream", "/endless?1000", (*fapwstest.Client).Reset},
			{"closed in a stream", "/endless?1000", closes},
			{"closed in large blocks", "/endless?1000000", closes},
			{"reset in a slow stream", "/ticks", (*fapwstest.Client).Reset},
			{"closed in a slow stream", "/ticks", closes},
			{"half-closed in a slow stream", "/ticks", func(w *fapwstest.Client) { _ = w.Conn.(*net.TCPConn).CloseWrite() }},
		} {
			t.Log(c.name)
			w := s.DialGet(c.path)
			fapwstest.Try(io.ReadFull(w.Head("GET").Body, make([]byte, 5))).Must(t)
			c.leave(w)
			fapwstest.FileSays(t, folder+"/closed", "yes")
			fapwstest.Must(t, os.Remove(folder+"/closed"))
			s.Get("/", 200).Is(t, "quick")
		}
		w := s.Dial() // the last client leaves before the head
		w.Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", "yes")
		w.Get("/endless?10")
		w.Reset()
		fapwstest.Write(t, folder+"/go", "")
		s.Get("/", 200).Is(t, "quick")
	})
}

func TestFilesAreSentCompletelyWithoutSendfile(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOSYS, syscall.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			large, small := random(3_000_000), random(100_000)
			fapwstest.Write(t, filepath.Join(dir, "large.bin"), large)
			fapwstest.Write(t, filepath.Join(dir, "small.bin"), small)
			script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
def opened(environ, start_response):
    return open("large.bin", "rb")


PATHS = [("/opened", opened)]
`)
			s := fapwstest.Command{
				Script: script, Dir: dir, Flags: []string{"--static", "/files=" + dir},
				Shell: fapwstest.Refusing(t, fmt.Sprintf("%d=%d", syscall.SYS_SENDFILE, errno)),
			}.Serve(t, fapwstest.Threads)
			for range 2 {
				for path, want := range map[string]string{"/files/large.bin": large, "/files/small.bin": small, "/opened": large} {
					fapwstest.Equalf(t, s.Get(path, 200).Text, want, "%s", path)
				}
			}
			line := "sendfile: " + errno.Error() + "; reading files and sending them instead"
			fapwstest.Equalf(t, strings.Count(s.Stderr.String(), line), 1, "lines")
		})
	}
}

func TestFileThatCannotBeReadWhileItIsSentIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, filepath.Join(dir, "large.bin"), random(100_000))
	script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
import io
import os


def written(environ, start_response):
    return io.FileIO(os.open("large.bin", os.O_WRONLY), "w")


PATHS = [("/written", written)]
`)
	s := fapwstest.Command{Script: script, Dir: dir}.Serve(t, fapwstest.Threads)
	w := s.DialGet("/written")
	s.Says("response aborted: cannot read the file: bad file descriptor")
	w.Reset()
}
