package http_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
	w.Send("POST", head, "Content-Length: 4\r\n\r\nbody")
	if a := w.Answer(); a.StatusCode == 100 {
		w.Answer().Is(t, "4 bytes")
	} else {
		a.Is(t, "4 bytes")
	}
	w.Send("GET", head, "\r\n")
	w.Answer().Is(t, "0 bytes")
	fapwstest.TooBig(t, s, "POST"+head+"Content-Length: 1001\r\n\r\n", "")
	w = s.Dial() // HTTP/1.0 has no 100 (Continue)
	w.Send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
	w.Answer().Is(t, "4 bytes")
	s.Ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 4\r\n\r\nbody").Want(t, 417)
}
