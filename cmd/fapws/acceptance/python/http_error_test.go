package python_test

import (
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/http1"
)

func TestHTTPErrorIsTheResponse(t *testing.T) {
	cases := []struct {
		path   string
		status int
		field  string
		body   string
	}{
		{"/missing", 404, "X-Own: yes", "<h1>Not Found</h1>\n<p>No &lt;b&gt;such&lt;/b&gt; page &amp; more</p>\n"},
		{"/missing", 404, "X-First: ", "<title>404 Not Found</title>"},
		{"/generator", 403, "X-First: ", "<h1>Forbidden</h1>\n<p>You may not see this page.</p>\n"},
		{"/iterator", 410, "Content-Type: text/html; charset=utf-8", "<h1>Gone</h1>\n<p>in an iterator</p>\n"},
		{"/closed", 200, "", "1"},
		{"/moved", 303, "Location: /elsewhere", "<!doctype html><title>303 See Other</title>\n<h1>See Other</h1>\n"},
		{"/json", 422, "Content-Type: application/json", `{"error": "<no>"}`},
		{"/teapot", 418, "", ""},
		{"/line", 400, "", ""},
		{"/gone", 410, "", "<h1>Gone</h1>\n<p>gone</p>\n"},
	}
	for debug, m := range map[string]fapwstest.Mode{"0": fapwstest.Inline, "1": fapwstest.Threads} {
		t.Run("debug "+debug, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Serve(t, m, "httperror.py", "--debug", debug)
			w := s.Dial()
			for _, c := range cases {
				a := w.Fetch(c.path).Want(t, c.status)
				if !strings.Contains(a.Text, c.body) {
					t.Errorf("%s: the page is %q", c.path, a.Text)
				}
				if name, value, ok := strings.Cut(c.field, ": "); ok {
					a.Field(t, name, value)
				}
			}
			s.Get("/closed", 200)
			if debug == "0" {
				if said := s.Stderr.String(); strings.Contains(said, "answer of handler") {
					t.Errorf("says more than asked for: %s", said)
				}
				return
			}
			s.Says(`(?m) info answer of handler missing, GET /missing HTTP/1.1 from 127.0.0.1: 404 Not Found: ` +
				`No <b>such</b> page & more$`)
			s.Says(`(?m) info answer of handler line, .*: 400 Bad Request: a\\nfapws: b\\x1b\[31m$`)
		})
	}
}

func TestPagesOfScriptsAndOfTheServerLookAlike(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "httperror.py")
	for _, status := range []int{400, 401, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504} {
		want := string(http1.StatusPage(status, "", ""))
		s.Get("/status/"+strconv.Itoa(status), status).Want(t, status, want)
	}
}

func TestHTTPErrorWithAnInvalidValueIsAHandlerError(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "httperror.py", Complains: true}.Serve(t, fapwstest.Inline)
	s.Get("/wrong", 500)
	s.Says(`(?m)^ValueError: HTTPError: the status must be from 400 to 599, not 200$`)
	s.Get("/bad", 500)
	s.Says(`again and again`)
	w := s.Dial()
	if a := w.Fetch("/late"); a.StatusCode != 200 || a.Err == nil || a.Text != "first" {
		t.Errorf("%d %q %v", a.StatusCode, a.Text, a.Err)
	}
	s.Says(`(?m)^fapws._errors.HTTPError: 404 Not Found$`)
}
