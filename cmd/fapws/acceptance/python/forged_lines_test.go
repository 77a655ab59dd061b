package python_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The text of the exception contains data of the client. Control sequences in it must not reach a terminal, wherever
// the exception is raised.
func TestExceptionTextCannotForgeLogLines(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Workers, fapwstest.Forks}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		paths := []string{"/raise", "/chain", "/note", "/compile", "/stream", "/close", "/defer"}
		c := fapwstest.Command{Script: "forging.py", Complains: true}
		if !m.Forks() {
			c.Args = []string{"async"}
			paths = append(paths, "/async", "/task")
		}
		s := c.Serve(t, m)
		for _, path := range paths {
			if m.Forks() && path == "/defer" {
				continue
			}
			evil := path + "\n2026-01-01 00:00:00.000 info forged\n[Thu Jan 01 00:00:00.000000 2026] [error] " +
				"forged\r\x1b[31mred\u009b31m\u2028\u202e\u2066 last of " + path
			w := s.Dial()
			w.Get(path + "?" + url.QueryEscape(evil))
			_, _ = w.Reads()
			s.Says("last of " + regexp.QuoteMeta(path))
		}
		text := s.Stderr.String()
		if found := regexp.MustCompile(`(?m)^(2026-01-01|\[Thu Jan 01).*`).FindString(text); found != "" {
			t.Errorf("a line is forged: %q", found)
		}
		if i := strings.IndexAny(text, "\r\x1b\u009b\u2028\u202e\u2066"); i >= 0 {
			t.Errorf("%q", text[max(0, i-100):min(len(text), i+20)])
		}
		if !regexp.MustCompile(`(?m)^ .*info forged$`).MatchString(text) && !m.Forks() {
			t.Error("the lines of the message are no lines")
		}
	})
}
