package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestValidatorOfWsgirefFindsNoErrors(t *testing.T) {
	cases := []struct {
		path   string
		status int
		body   string
	}{
		{"/single", 200, "single"}, {"/nothing", 200, ""}, {"/no-bytes", 200, ""}, {"/204", 204, ""}, {"/304", 304, ""},
		{"/generator", 200, "part 0 part 1 part 2 "}, {"/late", 200, "part 0 part 1 part 2 "},
		{"/closing", 200, "closing"},
		{"/written", 200, "written whole"}, {"/replaced", 503, "replaced"}, {"/file", 200, "0123456789"},
		{"/memory", 200, "in memory"},
		{"/error", 404, "no such thing"}, {"/", 200, "whole "}, {"/x/y?q=%20", 200, "whole "},
		{"/whole", 200, "whole "}, {"/whole/", 200, "whole "},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Serve(t, m, "validated.py")
			for _, method := range []string{"PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
				s.Ask(fapwstest.Request(method, "/", "")).Is(t, "whole ")
			}
			for _, c := range cases {
				if a := s.Get(c.path, c.status); a.Text != c.body {
					t.Errorf("%s: %q", c.path, a.Text)
				}
				s.Ask(fapwstest.Request("HEAD", c.path, "")).Want(t, c.status)
				if a := s.Ask("GET "+c.path+" HTTP/1.0\r\n\r\n").Want(t, c.status); a.Text != c.body {
					t.Errorf("%s on HTTP/1.0: %q", c.path, a.Text)
				}
			}
			body := "first line\nsecond\n\n" + strings.Repeat("third ", 100_000) + "\nlast"
			for _, text := range []string{
				fapwstest.Request("POST", "/", body, "Content-Type: text/plain"),
				fapwstest.Chunked("POST", "/", body, 5000),
				fapwstest.Request("PUT", "/whole/x", body),
				"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
			} {
				_, sent, _ := strings.Cut(text, "\r\n\r\n")
				if strings.Contains(text, "chunked") {
					sent = body
				}
				s.Ask(text).Is(t, "whole "+sent)
			}
			s.Ask(fapwstest.Request("POST", "/single", body)).Is(t, "single")

			w := s.Dial()
			w.Get("/endless")
			w.Head("GET")
			w.Reset()
			s.Get("/", 200).Is(t, "whole ")
			for _, bad := range []string{"AssertionError", "Warning", "without being closed"} {
				if strings.Contains(s.Stderr.String(), bad) {
					t.Errorf("stderr has %q", bad)
				}
			}
			s.Complains = true
			if a := s.Ask(fapwstest.Get("/too-late")); a.Err == nil || a.Text != "begun" {
				t.Errorf("too late: %q, %v", a.Text, a.Err)
			}
			s.Says(`ValueError: too late`)
		})
}
