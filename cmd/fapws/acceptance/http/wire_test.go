package http_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
