package python_test

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestHandlerThatRaisesGets500AndATraceback(t *testing.T) {
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
	for debug, m := range map[string]fapwstest.Mode{"0": fapwstest.Inline, "1": fapwstest.Threads} {
		t.Run("debug "+debug, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Command{Script: "raising.py", Flags: []string{"--debug", debug},
				Complains: true}.Serve(t, m)
			w := s.Dial()
			for _, c := range cases {
				w.Send("GET " + c.path + "?q=<u> HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
				a := w.Answer().Want(t, 500).Field(t, "Content-Type", html).Field(t, "X-Started", "")
				s.Says(`(?m)^` + c.report)
				name, _, _ := strings.Cut(c.report, ":")
				if shown := strings.Contains(a.Text, name); shown != (debug == "1") {
					t.Errorf("%s: the page is %.400q", c.path, a.Text)
				}
			}
			if debug == "1" {
				page := w.Fetch("/value?q=<u>").Want(t, 500, "raise error", "own_text", "local &lt;u&gt;value", "raising.py").Text
				if strings.Contains(page, "<u>") {
					t.Errorf("not escaped: %q", page)
				}
			}
			if a := w.Fetch("/replaced").Want(t, 503, "sorry"); a.Header.Get("X-First") != "" ||
				a.Header.Get("X-Second") != "2" {
				t.Errorf("replaced head: %q", a.Header)
			}
			w.Fetch("/entered").Want(t, 200)
		})
	}
}

func TestTracebackIsLoggedOnceAfterALineWithTheRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "raising.py", Complains: true}.Serve(t, fapwstest.Inline)
	s.Get("/value/x?y=1", 500)
	s.Says(`(?m)^ValueError: boom & co\n`)
	s.Get("/entered", 200)
	said := s.Stderr.String()
	for _, once := range []string{"Traceback (most recent call last)", "GET /value/x?y=1 HTTP/1.1",
		"ends_ValueError", "ValueError: boom & co"} {
		if n := strings.Count(said, once); n != 1 {
			t.Errorf("%q is there %d times", once, n)
		}
	}
}

func TestErrorAfterTheHeadAbortsTheResponse(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "raising.py", Complains: true}.Serve(t, m)
		w := s.Dial()
		if a := w.Fetch("/late"); a.StatusCode != 200 || a.Err == nil || a.Text != "first" {
			t.Errorf("%d %q %v", a.StatusCode, a.Text, a.Err)
		}
		w.Gone()
		w = s.Dial()
		w.Send("GET /late HTTP/1.0\r\n\r\n")
		if a := w.Answer(); a.Err == nil {
			t.Errorf("on HTTP/1.0 a broken response ends as a whole one does")
		}
		s.Says("RuntimeError: in the middle")
	})
}

func TestTracebacksAreNotMixed(t *testing.T) {
	t.Parallel()
	const each = 20
	script := fapwstest.Write(t, t.TempDir()+"/fails.py", `
import threading
together = threading.Barrier(4)
def fails(environ, start_response):
    def deep(n):
        if n:
            deep(n - 1)
            return None
        return deep(n - 1, n)
    together.wait()
    deep(3)
PATHS = [("/", fails)]
`)
	s := fapwstest.Command{Script: script, Complains: true}.Serve(t, fapwstest.Threads)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			w := s.Dial()
			for range each {
				w.Fetch("/").Want(t, 500)
			}
		})
	}
	wait.Wait()
	whole :=
		regexp.MustCompile(
			`error in handler fails, GET / HTTP/1\.1 from 127\.0\.0\.1 \(thread \d\)\nTraceback .*\n` +
				`(  .*\n)+TypeError: .*\n`)
	fapwstest.Eventually(t, "all tracebacks are whole", func() bool {
		return len(whole.FindAllString(s.Stderr.String(), -1)) == 4*each
	})
}
