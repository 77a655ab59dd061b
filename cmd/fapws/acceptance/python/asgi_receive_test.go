package python_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func noted(s *fapwstest.Server, path string, want ...any) {
	s.T.Helper()
	var got []any
	fapwstest.Eventually(s.T, fmt.Sprintf("%v is noted of %s", want, path), func() bool {
		got = nil
		fapwstest.Must(s.T, json.Unmarshal([]byte(s.Get("/noted"+path, 200).Text), &got))
		return len(got) >= len(want)
	})
	fapwstest.Equalf(s.T, got, want, "%s", path)
}

func TestASGIReceiveReturnsEachEventInTime(t *testing.T) {
	gone := dict{"type": "http.disconnect"}
	event := func(body string, more bool) dict { return dict{"type": "http.request", "body": body, "more": more} }
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "asgi/receive.py:app")
		for i, test := range []struct {
			request string
			want    list
		}{
			{fapwstest.Get("/twice/0"), list{event("", false)}},
			{fapwstest.Request("POST", "/twice/1", "hello"), list{event("hello", false)}},
			{fapwstest.Chunked("POST", "/twice/2", "hello", 2), list{event("hello", false)}},
			{fapwstest.Chunked("POST", "/twice/3", "", 2), list{event("", false)}},
		} {
			w := s.Dial()
			w.Send(test.request)
			got := w.Answer().Want(t, 200).Object(t)
			fapwstest.Truef(t, reflect.DeepEqual(got["events"], any(test.want)) && got["early"] == false, "%q: %v", test.request,
				got)
			// receive() returns http.disconnect because the response is complete, although the connection stays open.
			noted(s, fmt.Sprintf("/twice/%d", i), list{gone, gone, gone})
			w.Fetch("/ignored").Is(t, `"ignored"`)
		}

		w := s.Dial()
		w.Get("/waits")
		noted(s, "/waits", "waits")
		w.Reset()
		noted(s, "/waits", "waits", gone, "OSError", gone)

		w = s.Dial()
		w.Get("/streams")
		w.Head("GET")
		w.Reset()
		noted(s, "/streams", "OSError", gone, "goes on")

		w = s.Dial()
		w.Fetch("/leaves").Is(t, "hello")
		w.Close()
		noted(s, "/leaves", "no error")

		for i, leave := range []func(*fapwstest.Client){(*fapwstest.Client).Reset, func(w *fapwstest.Client) {
			w.Close()
		}} {
			w = s.Dial()
			path := fmt.Sprintf("/half/%d", i)
			w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
			noted(s, path, "began")
			leave(w)
			noted(s, path, "began", "http.disconnect")
		}

		w = s.Dial()
		w.Send("POST /cancelled HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
		fapwstest.Eventually(t, "it has waited in vain", func() bool {
			return strings.Contains(s.Get("/noted/cancelled", 200).Text, "timeout")
		})
		w.Send("world")
		w.Answer().Is(t, `"helloworld"`)
	})
}

// A result of receive() may be awaited once, like a coroutine.
func TestASGIReceiveInSeveralTasksReturnsSeparateEvents(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/receive.py:app")
	begin := func(path string) *fapwstest.Client {
		w := s.Dial()
		w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
		return w
	}
	event := func(body string, more bool) dict { return dict{"type": "http.request", "body": body, "more": more} }
	for _, path := range []string{"/shared/itself", "/shared/coroutine"} {
		w := begin(path)
		noted(s, path, "waits")
		w.Send("1\r\n1\r\n0\r\n\r\n")
		got := w.Answer().Want(t, 200).Object(t)
		want := dict{"others": list{"RuntimeError", "RuntimeError", "RuntimeError", "RuntimeError",
			"CancelledError"}, "got": list{event("1", false)}, "after": "RuntimeError"}
		fapwstest.Equalf(t, got, want, "%s", path)
	}
	w := begin("/several")
	noted(s, "/several", "a waits")
	w.Send("1\r\n1\r\n")
	noted(s, "/several", "a waits", "c waits")
	w.Send("1\r\n2\r\n")
	noted(s, "/several", "a waits", "c waits", "e waits")
	w.Send("1\r\n3\r\n0\r\n\r\n")
	got := w.Answer().Want(t, 200).Object(t)
	want := dict{"got": list{list{"a", "1"}, list{"d", "2"}, list{"e", "3"}},
		"cancelled": list{false, true, true, false, false}}
	fapwstest.Equal(t, got, want)
}

func TestASGIDuplexSendsWhileTheRequestArrives(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "asgi/receive.py:app")
		for _, path := range []string{"/duplex", "/together"} {
			w := s.Dial()
			for range 2 {
				w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
				if path == "/together" {
					w.Send("1\r\n\n\r\n")
				}
				lines := bufio.NewReader(w.Head("POST").Body)
				for i := range 20 {
					line, err := lines.ReadString('\n')
					fapwstest.Needf(t, (i <= 0 || strings.EqualFold(line, fmt.Sprintf("line %d\n", i))) && err == nil, "%s: %q, %v",
						path, line, err)
					text := fmt.Sprintf("line %d\n", i+1)
					w.Send(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
				}
				w.Send("0\r\n\r\n")
				rest, err := io.ReadAll(lines)
				fapwstest.Truef(t, err == nil && strings.EqualFold(string(rest), "line 20\n"), "%s: %q, %v", path, rest, err)
			}
		}
	})
}

func TestASGIUnreadBodyDoesNotBreakTheConnection(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "asgi/receive.py:app")
	w := s.Dial()
	w.Send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
	w.Answer().Want(t, 403)
	w.Send("0123456789", fapwstest.Request("POST", "/ignored", "GET /early HTTP/1.1\r\n\r\n"), fapwstest.Get("/ignored"))
	w.Answer().Is(t, `"ignored"`)
	w.Answer().Is(t, `"ignored"`)

	// The client gets the response before it has sent the whole body. It may continue to send the body until it has
	// read the response.
	w = s.Dial()
	w.Send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n", strings.Repeat("x", 8_000_000))
	a := w.Answer().Want(t, 403)
	fapwstest.Truef(t, a.Close, "no Connection: close: %v", a.Header)
	w.Closed()

	w = s.Dial()
	w.Send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	w.Answer().Want(t, 100)
	w.Answer().Want(t, 403)
}

// The request body is malformed or too large, and the application has sent nothing yet.
func TestASGIBrokenBodyGetsAnErrorAndADisconnect(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Inline, "asgi/receive.py:app", "--max-body-size", "1K")
	for i, test := range []struct {
		rest   string
		status int
	}{
		{"400\r\n" + strings.Repeat("x", 1024) + "\r\n", 413},
		{"x\r\n", 400},
	} {
		w := s.Dial()
		path := fmt.Sprintf("/half/%d", i)
		w.Send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		noted(s, path, "began")
		w.Send(test.rest)
		w.Answer().Want(t, test.status)
		w.Closed()
		noted(s, path, "began", "http.disconnect")
	}
	fapwstest.TooBig(t, s, fapwstest.Request("POST", "/twice", strings.Repeat("b", 1025)), "")
}
