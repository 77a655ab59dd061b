package http_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A handler cannot be made to send a field, or a response, of the client's.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "headers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, where := range []string{"value", "name", "status", "added", "cookie"} {
		for _, what := range []string{"cr", "lf", "crlf", "nul"} {
			w := s.Dial()
			w.Send(fapwstest.Get("/"+where+"?"+what, "Connection: close"))
			got := w.Rest()
			if !strings.HasPrefix(got, "HTTP/1.1 500 ") || strings.Contains(got, "Injected") || strings.Contains(got, "\x00") || strings.Count(got, "HTTP/1.") != 1 {
				t.Errorf("%s with %s: %q", where, what, got)
			}
		}
	}
}

// Content-Length is a promise: the client can tell when it was not kept.
func TestContentLength(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "headers.py")
		for _, how := range []string{"bytes", "list", "generator", "file"} {
			for _, size := range []int{10, 5000, 60_000} {
				target := func(length int) string {
					return fmt.Sprintf("/announced?length=%d&size=%d&how=%s", length, size, how)
				}
				w := s.Dial()
				w.Get(target(size))
				if a := w.Answer().Want(t, 200); len(a.Text) != size {
					t.Errorf("%s: %d bytes of %d", how, len(a.Text), size)
				}
				w.Get(target(size - 1)) // too long: cut, and the next response is in its place
				if a := w.Answer().Want(t, 200); len(a.Text) != size-1 {
					t.Errorf("%s: %d bytes of %d, cut", how, len(a.Text), size-1)
				}
				w.Send(fapwstest.Request("HEAD", target(size-1), ""))
				w.AnswerTo("HEAD").Want(t, 200).Field(t, "Content-Length", fmt.Sprint(size-1))
				w.Get("/")
				w.Answer().Is(t, "plain")
				w.Get(target(size + 1)) // too short: the end of the connection says so
				if a := w.Answer(); a.Err == nil || len(a.Text) != size || a.ContentLength != int64(size+1) {
					t.Errorf("%s: %d bytes of %d announced, %v", how, len(a.Text), a.ContentLength, a.Err)
				}
				w.Gone()
			}
		}
		s.Says(`body exceeds its Content-Length`)
		s.Says(`its Content-Length is`)
	})
}

func TestDateAndServer(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "headers.py")
	a := s.Get("/", 200).Field(t, "Server", "fapws")
	date, err := http.ParseTime(a.Header.Get("Date"))
	if off := time.Since(date).Abs(); err != nil || off > time.Minute {
		t.Errorf("Date %q: %v, off by %v", a.Header.Get("Date"), err, off)
	}
	s.Get("/own", 200).Field(t, "Server", "mine").Field(t, "Date", "Thu, 01 Jan 1970 00:00:00 GMT")
	for _, target := range []string{"/nothing-here", "/own?"} {
		if a := s.Ask("GET " + target + " HTTP/1.1\r\n\r\n"); a.Header.Get("Date") == "" || a.Header.Get("Server") == "" {
			t.Errorf("%q has no Date or Server", a.Header)
		}
	}
}

// HEAD is GET without the body, byte for byte.
func TestHead(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "returns.py")
		for _, path := range []string{"/str", "/bytes", "/list", "/dict", "/typed", "/file", "/html", "/bytesio", "/generator", "/written", "/nothing"} {
			head := func(method string) string {
				w := s.Dial()
				w.Send(fapwstest.Request(method, path, "", "Connection: close"))
				head, body, _ := strings.Cut(w.Rest(), "\r\n\r\n")
				if method == "HEAD" && body != "" {
					t.Errorf("HEAD %s has the body %q", path, body)
				}
				var lines []string
				for _, line := range strings.Split(head, "\r\n") {
					if !strings.HasPrefix(line, "Date: ") {
						lines = append(lines, line)
					}
				}
				return strings.Join(lines, "\n")
			}
			if g, h := head("GET"), head("HEAD"); g != h {
				t.Errorf("%s: GET\n%s\nHEAD\n%s", path, g, h)
			}
		}
	})
}

// These have no body whatever the handler returns, and the connection goes on.
func TestBodyless(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "headers.py")
		w := s.Dial()
		for _, status := range []int{204, 304, 200, 404, 299, 500, 599} {
			w.Get(fmt.Sprint("/code?", status))
			a := w.Answer().Want(t, status).Field(t, "X-Kept", "1")
			bodyless := status == 204 || status == 304
			if (a.Text == "") != bodyless || len(a.TransferEncoding) > 0 || status == 204 && a.Header.Get("Content-Length") != "" {
				t.Errorf("%d: body %q, %q", status, a.Text, a.Header)
			}
		}
		w.Send(fapwstest.Get("/code?204"), fapwstest.Get("/code?304"), fapwstest.Get("/code?200", "Connection: close"))
		if got := w.Rest(); strings.Count(got, "HTTP/1.1 ") != 3 || strings.Count(got, "body") != 1 {
			t.Errorf("pipelined: %q", got)
		}
	})
}

// A status that no client would understand is the handler's error.
func TestStatusRefused(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "headers.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, status := range []string{"abc", "99", "1000", "100", "101", "103", "", "-200", "2%300"} {
		s.Get("/code?"+status, 500)
	}
}

// The fields of the connection are the server's (PEP 3333); Connection: close
// of a handler is obeyed.
func TestHopByHop(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "headers.py")
	w := s.Dial()
	w.Get("/hop-by-hop")
	a := w.Answer().Is(t, "body").Field(t, "Upgrade", "").Field(t, "X-Kept", "1").Field(t, "Content-Length", "4")
	if len(a.TransferEncoding) > 0 || !a.Close {
		t.Errorf("%v, close %v", a.TransferEncoding, a.Close)
	}
	w.Closed()
}
