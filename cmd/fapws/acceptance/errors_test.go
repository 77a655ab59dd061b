package acceptance

import (
	"strings"
	"testing"
)

func TestHandlerRaises(t *testing.T) {
	cases := []struct{ path, report string }{
		{"/value", "ValueError: boom & co"},
		{"/exit", "SystemExit: 3"},
		{"/interrupt", "KeyboardInterrupt"},
		{"/generator-exit", "GeneratorExit"},
		{"/stop", "StopIteration"},
		{"/recursion", "RecursionError: "},
		{"/memory", "MemoryError"},
		{"/early", "RuntimeError: before the first byte"},
		{"/twice", "AssertionError: "},
	}
	inModes(t, func(t *testing.T, m mode) {
		for _, debug := range []string{"0", "1"} {
			t.Run("debug "+debug, func(t *testing.T) {
				s := command{script: "raising.py", flags: []string{"--debug", debug}, complains: true}.serve(t, m)
				w := s.dial() // which stays open over all of it
				for _, c := range cases {
					w.get(c.path + "?q=<u>")
					a := w.answer().want(t, 500).field(t, "Content-Type", html).field(t, "X-Started", "")
					s.says(`(?m)^` + c.report)
					name, _, _ := strings.Cut(c.report, ":")
					if shown := strings.Contains(a.body, name); shown != (debug == "1") {
						t.Errorf("%s: the page is %.400q", c.path, a.body)
					}
				}
				if debug == "1" {
					w.get("/value?q=<u>")
					page := w.answer().want(t, 500, "raise error", "own_text", "local &lt;u&gt;value", "raising.py").body
					if strings.Contains(page, "<u>") {
						t.Errorf("not escaped: %q", page)
					}
				}
				w.get("/replaced")
				if a := w.answer().want(t, 503, "sorry"); a.Header.Get("X-First") != "" || a.Header.Get("X-Second") != "2" {
					t.Errorf("replaced head: %q", a.Header)
				}
				w.get("/entered")
				w.answer().want(t, 200)
			})
		}
	})
}

// A traceback is on stderr once, under a line with the request.
func TestTraceback(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "raising.py", complains: true}.serve(t, m)
		s.get("/value/x?y=1", 500)
		s.says(`(?m)^ValueError: boom & co\n`)
		s.get("/entered", 200)
		said := s.stderr.String()
		for _, once := range []string{"Traceback (most recent call last)", "GET /value/x?y=1 HTTP/1.1", "ends_ValueError", "ValueError: boom & co"} {
			if n := strings.Count(said, once); n != 1 {
				t.Errorf("%q is there %d times", once, n)
			}
		}
	})
}

// An error after the head has been sent must not look like a whole response.
func TestRaisesInTheMiddle(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "raising.py", complains: true}.serve(t, m)
		w := s.dial()
		w.get("/late")
		if a := w.answer(); a.StatusCode != 200 || a.err == nil || a.body != "first" {
			t.Errorf("%d %q %v", a.StatusCode, a.body, a.err)
		}
		w.gone()
		w = s.dial()
		w.send("GET /late HTTP/1.0\r\n\r\n")
		if a := w.answer(); a.err == nil {
			t.Errorf("on HTTP/1.0 a broken response ends as a whole one does")
		}
		s.says("RuntimeError: in the middle")
	})
}
