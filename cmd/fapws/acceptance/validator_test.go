package acceptance

import (
	"strings"
	"testing"
)

// wsgiref.validate, between the server and the application, finds nothing wrong
// with either, whatever is asked and answered.
func TestValidator(t *testing.T) {
	cases := []struct {
		path   string
		status int
		body   string
	}{
		{"/single", 200, "single"}, {"/nothing", 200, ""}, {"/no-bytes", 200, ""}, {"/204", 204, ""}, {"/304", 304, ""},
		{"/generator", 200, "part 0 part 1 part 2 "}, {"/late", 200, "part 0 part 1 part 2 "}, {"/closing", 200, "closing"},
		{"/written", 200, "written whole"}, {"/replaced", 503, "replaced"}, {"/file", 200, "0123456789"}, {"/memory", 200, "in memory"},
		{"/error", 404, "no such thing"}, {"/", 200, "whole "}, {"/x/y?q=%20", 200, "whole "}, {"/whole", 200, "whole "}, {"/whole/", 200, "whole "},
	}
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := serve(t, m, "validated.py")
		for _, c := range cases {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
				if a := s.ask(request(method, c.path, "")).want(t, c.status); a.body != c.body {
					t.Errorf("%s %s: %q", method, c.path, a.body)
				}
			}
			s.ask(request("HEAD", c.path, "")).want(t, c.status)
			if a := s.ask("GET "+c.path+" HTTP/1.0\r\n\r\n").want(t, c.status); a.body != c.body {
				t.Errorf("%s on HTTP/1.0: %q", c.path, a.body)
			}
		}
		body := "first line\nsecond\n\n" + strings.Repeat("third ", 100_000) + "\nlast"
		for _, text := range []string{
			request("POST", "/", body, "Content-Type: text/plain"),
			chunked("POST", "/", body, 5000),
			request("PUT", "/whole/x", body),
			"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
		} {
			_, sent, _ := strings.Cut(text, "\r\n\r\n")
			if strings.Contains(text, "chunked") {
				sent = body
			}
			s.ask(text).is(t, "whole "+sent)
		}
		s.ask(request("POST", "/single", body)).is(t, "single") // unread

		w := s.dial()
		w.get("/endless")
		w.head("GET")
		w.reset()
		s.get("/", 200).is(t, "whole ")
		for _, bad := range []string{"AssertionError", "Warning", "without being closed"} {
			if strings.Contains(s.stderr.String(), bad) {
				t.Errorf("stderr has %q", bad)
			}
		}
		s.complains = true // from here on
		if a := s.ask(get("/too-late")); a.err == nil || a.body != "begun" {
			t.Errorf("too late: %q, %v", a.body, a.err)
		}
		s.says(`ValueError: too late`)
	})
}
