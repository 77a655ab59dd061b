package http_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, request string
		stays         bool
		connection    string // the field in the response
	}{
		{"1.1", "GET /count HTTP/1.1\r\nHost: a\r\n\r\n", true, ""},
		{"1.1 close", "GET /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, "close"},
		{"1.1 Close in a list", "GET /count HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false, "close"},
		{"1.0", "GET /count HTTP/1.0\r\n\r\n", false, "close"},
		{"1.0 keep-alive", "GET /count HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"},
		{"1.0 POST keep-alive", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", true, "keep-alive"},
		{"404", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", true, ""},
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py")
	for _, c := range cases {
		w := s.Dial()
		w.Send(c.request)
		a := w.Answer()
		if got := a.Header.Get("Connection"); !strings.EqualFold(got, c.connection) && a.Close == c.stays {
			t.Errorf("%s: Connection %q, want %q", c.name, got, c.connection)
		}
		if !c.stays {
			w.Closed()
			continue
		}
		w.Get("/count")
		w.Answer().Want(t, 200)
	}
}

// Responses come in the order of the requests, whatever takes longer and
// whatever is safe, and all of them on one connection.
func TestPipelining(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "pipeline.py")
		var b strings.Builder
		var want []string
		for i := range 100 {
			body := fmt.Sprintf("body %d", i)
			switch i % 5 {
			case 0:
				b.WriteString(fapwstest.Request("POST", fmt.Sprint("/echo?", i), body))
			case 1:
				b.WriteString(fapwstest.Chunked("PUT", fmt.Sprint("/echo?", i), body, 3))
			case 2:
				b.WriteString(fapwstest.Get(fmt.Sprint("/stream?", i)))
				body = fmt.Sprintf("%d %d %d ", i, i, i)
			case 3:
				b.WriteString(fapwstest.Get(fmt.Sprint("/sleep?", i)))
				body = fmt.Sprintf("slept %d", i)
			case 4:
				b.WriteString(fapwstest.Get(fmt.Sprint("/quick?", i)))
				body = fmt.Sprintf("quick %d", i)
			}
			want = append(want, body)
		}
		w := s.Dial()
		go io.WriteString(w.Conn, b.String()) // a failure is seen below
		for i, body := range want {
			if a := w.Answer().Want(t, 200); a.Text != body {
				t.Fatalf("response %d is %q, want %q", i, a.Text, body)
			}
		}
		w.Get("/order") // the unsafe ones ran one after the other
		var order []string
		for i := range 100 {
			if i%5 < 2 {
				order = append(order, fmt.Sprint(i))
			}
		}
		w.Answer().Is(t, strings.Join(order, " "))
	})
}

// The answer does not depend on how the bytes of a request were cut.
func TestSplitRequests(t *testing.T) {
	t.Parallel()
	requests := fapwstest.Request("POST", "/echo?1", "one", "X-Field: value") + fapwstest.Chunked("POST", "/echo?2", "two and more", 5) + "\r\n" + fapwstest.Get("/quick?3")
	want := func(w *fapwstest.Client) {
		w.T.Helper()
		w.Answer().Is(w.T, "one")
		w.Answer().Is(w.T, "two and more")
		w.Answer().Is(w.T, "quick 3")
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "pipeline.py")
	w := s.Dial()
	for i := range len(requests) { // one byte at a time
		w.Send(requests[i : i+1])
	}
	want(w)
	for i := 1; i < len(requests); i++ { // two pieces, on one connection
		w.Send(requests[:i])
		if i%7 == 0 { // the server has seen the first piece when it answers this one
			s.Get("/quick?x", 200)
		}
		w.Send(requests[i:])
		want(w)
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	const head = " / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
	s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--max-body-size", "1000")
	w := s.Dial()
	for range 3 {
		w.Send("POST", head, "Content-Length: 4\r\n\r\n")
		if r := w.Head("POST"); r.StatusCode != 100 || len(r.Header) > 0 {
			t.Fatalf("%d %q instead of 100", r.StatusCode, r.Header)
		}
		w.Send("body")
		w.Answer().Is(t, "4 bytes")
	}
	w.Send("PUT", head, "Transfer-Encoding: chunked\r\n\r\n")
	if r := w.Head("PUT"); r.StatusCode != 100 {
		t.Fatalf("%d instead of 100", r.StatusCode)
	}
	w.Send("2\r\nab\r\n0\r\n\r\n")
	w.Answer().Is(t, "2 bytes")
	// a client that does not wait, and one that has no body
	w.Send("POST", head, "Content-Length: 4\r\n\r\nbody")
	if a := w.Answer(); a.StatusCode == 100 {
		w.Answer().Is(t, "4 bytes")
	} else {
		a.Is(t, "4 bytes")
	}
	w.Send("GET", head, "\r\n")
	w.Answer().Is(t, "0 bytes")
	// refused without the body
	fapwstest.TooBig(t, s, "POST"+head+"Content-Length: 1001\r\n\r\n", "")
	w = s.Dial()
	w.Send("POST /count/../nothing", strings.TrimPrefix(head, " /"), "Content-Length: 5\r\n\r\n")
	if a := w.Answer(); a.StatusCode != 100 && a.StatusCode != 404 {
		t.Errorf("status %d", a.StatusCode)
	}
	w = s.Dial() // HTTP/1.0 knows no 100
	w.Send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
	w.Answer().Is(t, "4 bytes")
	s.Ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 4\r\n\r\nbody").Want(t, 417)
}

func TestTargets(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "environ.py")
	// absolute-form: its host counts, not that of the field (RFC 9112 §3.2.2)
	got := s.Ask("GET http://other.example:81/show/x?q HTTP/1.1\r\nHost: test\r\n\r\n").Want(t, 200).Object(t)
	for key, want := range map[string]string{"HTTP_HOST": "other.example:81", "SCRIPT_NAME": "/show", "PATH_INFO": "/x", "QUERY_STRING": "q"} {
		if got[key] != want {
			t.Errorf("%s: %v, want %s", key, got[key], want)
		}
	}
	s.Ask("GET http://other.example/show HTTP/1.0\r\n\r\n").Want(t, 200)
	a := s.Ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	if a.StatusCode/100 != 2 || a.Text != "" || !strings.Contains(a.Header.Get("Allow"), "GET") {
		t.Errorf("OPTIONS *: %d %q %q", a.StatusCode, a.Text, a.Header)
	}
	s.Ask("OPTIONS /show HTTP/1.1\r\nHost: a\r\n\r\n").Want(t, 200)
	for _, method := range []string{"PROPFIND", "M-SEARCH", "get"} { // a handler may know them
		if got := s.Ask(fapwstest.Request(method, "/show", "")).Want(t, 200).Object(t); got["REQUEST_METHOD"] != method {
			t.Errorf("%s: %q", method, got["REQUEST_METHOD"])
		}
	}
}
