package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

// noted waits until the application has noted all of want about a path.
func (s *server) noted(path string, want ...any) {
	s.t.Helper()
	var got []any
	eventually(s.t, fmt.Sprintf("%v is noted of %s", want, path), func() bool {
		got = nil
		if err := json.Unmarshal([]byte(s.get("/noted"+path, 200).body), &got); err != nil {
			s.t.Fatal(err)
		}
		return len(got) >= len(want)
	})
	if !reflect.DeepEqual(got, want) {
		s.t.Errorf("%s: %v, want %v", path, got, want)
	}
}

// What receive() returns, and when.
func TestASGIReceive(t *testing.T) {
	gone := dict{"type": "http.disconnect"}
	event := func(body string, more bool) dict { return dict{"type": "http.request", "body": body, "more": more} }
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/receive.py:app")
		for i, test := range []struct {
			request string
			want    list
		}{
			{get("/twice/0"), list{event("", false)}},
			{request("POST", "/twice/1", "hello"), list{event("hello", false)}},
			{chunked("POST", "/twice/2", "hello", 2), list{event("hello", false)}},
			{chunked("POST", "/twice/3", "", 2), list{event("", false)}},
		} {
			w := s.dial()
			w.send(test.request)
			got := w.answer().want(t, 200).object(t)
			if !reflect.DeepEqual(got["events"], any(test.want)) || got["early"] != false {
				t.Errorf("%q: %v", test.request, got)
			}
			// The connection is still there: it is the end of the response that ends the wait.
			s.noted(fmt.Sprintf("/twice/%d", i), list{gone, gone, gone})
			w.get("/ignored")
			w.answer().is(t, `"ignored"`)
		}

		w := s.dial() // the client leaves before anything was sent
		w.get("/waits")
		s.noted("/waits", "waits")
		w.reset()
		s.noted("/waits", "waits", gone, "OSError", gone)

		w = s.dial() // or in the middle of the response
		w.get("/streams")
		w.head("GET")
		w.reset()
		s.noted("/streams", "OSError", gone, "goes on")

		w = s.dial() // with all that was promised
		w.get("/leaves")
		w.answer().is(t, "hello")
		w.Close()
		s.noted("/leaves", "no error")

		for i, leave := range []func(*wire){(*wire).reset, func(w *wire) { w.Close() }} { // or of its body
			w = s.dial()
			path := fmt.Sprintf("/half/%d", i)
			w.send("POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
			s.noted(path, "began")
			leave(w)
			s.noted(path, "began", "http.disconnect")
		}

		w = s.dial()
		w.send("POST /cancelled HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
		eventually(t, "it has waited in vain", func() bool { return strings.Contains(s.get("/noted/cancelled", 200).body, "timeout") })
		w.send("world")
		w.answer().is(t, `"helloworld"`)
	})
}

// What receive() returns may be awaited once, as a coroutine. Who waits in one of his own
// gets an event of his own.
func TestASGIReceiveInSeveralTasks(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/receive.py:app")
		begin := func(path string) *wire {
			w := s.dial()
			w.send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
			return w
		}
		event := func(body string, more bool) dict { return dict{"type": "http.request", "body": body, "more": more} }
		for _, path := range []string{"/shared/itself", "/shared/coroutine"} {
			w := begin(path)
			s.noted(path, "waits")
			w.send("1\r\n1\r\n0\r\n\r\n")
			got := w.answer().want(t, 200).object(t)
			want := dict{"others": list{"RuntimeError", "RuntimeError", "RuntimeError", "RuntimeError", "CancelledError"}, "got": list{event("1", false)}, "after": "RuntimeError"}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v, want %v", path, got, want)
			}
		}
		w := begin("/several")
		s.noted("/several", "a waits")
		w.send("1\r\n1\r\n")
		s.noted("/several", "a waits", "c waits")
		w.send("1\r\n2\r\n")
		s.noted("/several", "a waits", "c waits", "e waits")
		w.send("1\r\n3\r\n0\r\n\r\n")
		got := w.answer().want(t, 200).object(t)
		want := dict{"got": list{list{"a", "1"}, list{"d", "2"}, list{"e", "3"}}, "cancelled": list{false, true, true, false, false}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// A response goes on while the request does, with one task or two.
func TestASGIDuplex(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/receive.py:app")
		for _, path := range []string{"/duplex", "/together"} {
			w := s.dial()
			for range 2 {
				w.send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
				if path == "/together" {
					w.send("1\r\n\n\r\n")
				}
				lines := bufio.NewReader(w.head("POST").Body)
				for i := range 20 {
					line, err := lines.ReadString('\n')
					if i > 0 && !strings.EqualFold(line, fmt.Sprintf("line %d\n", i)) || err != nil {
						t.Fatalf("%s: %q, %v", path, line, err)
					}
					text := fmt.Sprintf("line %d\n", i+1)
					w.send(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
				}
				w.send("0\r\n\r\n")
				if rest, err := io.ReadAll(lines); err != nil || !strings.EqualFold(string(rest), "line 20\n") {
					t.Errorf("%s: %q, %v", path, rest, err)
				}
			}
		}
	})
}

// Bodies that the application does not read, small and large, sent or still to come.
func TestASGIUnreadBody(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/receive.py:app")
		w := s.dial() // a little: the connection goes on
		w.send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n")
		w.answer().want(t, 403)
		w.send("0123456789", request("POST", "/ignored", "GET /early HTTP/1.1\r\n\r\n"), get("/ignored"))
		w.answer().is(t, `"ignored"`)
		w.answer().is(t, `"ignored"`)

		w = s.dial() // a lot: the client gets its answer, and can go on sending until it has read that
		w.send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 8000000\r\n\r\n", strings.Repeat("x", 8_000_000))
		a := w.answer().want(t, 403)
		if !a.Close {
			t.Errorf("no Connection: close: %v", a.Header)
		}
		w.closed()

		w = s.dial()
		w.send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
		w.answer().want(t, 100)
		w.answer().want(t, 403)

		tooBig(t, serve(t, m, "asgi/receive.py:app", "--max-body-size", "1K"), request("POST", "/twice", strings.Repeat("b", 1025)), "")
	})
}

// Limits that show while the application has the request: nothing was sent, so the
// client gets the error, and the application is told that it has gone.
func TestASGIBrokenBody(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "asgi/receive.py:app", "--max-body-size", "1K")
		for i, test := range []struct {
			rest   string
			status int
		}{
			{"400\r\n" + strings.Repeat("x", 1024) + "\r\n", 413},
			{"x\r\n", 400},
		} {
			w := s.dial()
			path := fmt.Sprintf("/half/%d", i)
			w.send("POST " + path + " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
			s.noted(path, "began")
			w.send(test.rest)
			w.answer().want(t, test.status)
			w.closed()
			s.noted(path, "began", "http.disconnect")
		}
	})
}
