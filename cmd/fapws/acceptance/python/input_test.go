package python_test

import (
	"net/url"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A body in a file is read in large pieces, even for many short lines.
func TestInputReadsLikeBytesIO(t *testing.T) {
	t.Parallel()
	calls := []string{
		"i.read()", "i.read(-1)", "i.read(None)", "i.read(0)", "i.read(5)", "i.read(10**9)", "i.read(2**40)",
		"[i.read(5), i.read(10**9), i.read(1), i.read(), i.read(-1)]",
		"i.readline()", "i.readline(-1)", "i.readline(None)", "i.readline(0)", "i.readline(2)", "i.readline(10**9)",
		"[i.readline(3), i.readline(), i.readline(), i.readline()]",
		"[i.read(), i.readline(), i.readlines(), list(i)]",
		"i.readlines()", "i.readlines(-1)", "i.readlines(None)", "i.readlines(0)", "i.readlines(1)", "i.readlines(4)",
		"i.readlines(5)", "i.readlines(10**9)",
		"list(i)", "[next(i), i.read(2), next(i), i.readline(1), i.readlines()]", "[i.read() and 1, next(i)]",
		"next(iter(i))",
		"iter(i) is i", "[line for line in i][-1]", "i.read(True)",
		"i.read('1')", "i.read(1.5)", "i.read(1, 2)", "i.readline('1')", "i.readlines('1')",
	}
	bodies := []string{
		"", "\n", "one", "one\ntwo\n\nfour", "one\r\ntwo\r\n",
		strings.Repeat("x", 150_000) + "\n" + strings.Repeat("a line of the body\n", 6_000) + "end",
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "input_calls.py")
	s.Ask(fapwstest.Request("POST", "/lines", strings.Repeat("\n", 400_000))).Is(t, "400000 True")
	w := s.Dial()
	for _, body := range bodies {
		for _, call := range calls {
			target := "/compare?" + url.QueryEscape(call)
			target = strings.ReplaceAll(target, "+", "%20")
			w.Send(fapwstest.Request("POST", target, body))
			w.Answer().Is(t, "same")
			w.Send(fapwstest.Chunked("POST", target, body, 5000))
			w.Answer().Is(t, "same")
		}
	}
}

// A thread of the application reads wsgi.input after the handler has returned. The thread must not read another file
// that now has the same descriptor.
func TestInputThatIsReadAfterTheHandlerIsAtItsEnd(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "input_calls.py")
	body, want := strings.Repeat("x", 2<<20), strings.TrimSpace(strings.Repeat("end ", 20))
	for range 20 {
		s.Ask(fapwstest.Request("POST", "/elsewhere", body)).Is(t, "returned")
	}
	fapwstest.Eventually(t, "all threads have read to the end",
		func() bool { return s.Get("/ended", 200).Text == want })
}

// The server receives the whole body before the handler runs. CONTENT_LENGTH is the length without chunk headers (RFC
// 3875 §4.1.2). Some frameworks rely on CONTENT_LENGTH alone.
func TestInputOfAChunkedBodyHasContentLength(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "input_calls.py")
		w := s.Dial()
		for _, c := range []struct{ request, length string }{
			{fapwstest.Get("/about"), ""},
			{fapwstest.Get("/about", "Content-Length: 0"), "0"},
			{fapwstest.Request("POST", "/about", ""), ""},
			{fapwstest.Request("POST", "/about", "", "Content-Length: 0"), "0"},
			{fapwstest.Request("POST", "/about", "twelve bytes"), "12"},
			{fapwstest.Chunked("POST", "/about", "twelve bytes", 5), "12"},
			{fapwstest.Chunked("POST", "/about", "", 5), "0"},
			{fapwstest.Chunked("PUT", "/about", strings.Repeat("x", 300_000), 8000), "300000"},
		} {
			w.Send(c.request)
			want := map[string]any{"wsgi.input_terminated": true}
			if c.length != "" {
				want["CONTENT_LENGTH"] = c.length
			}
			fapwstest.Equalf(t, w.Answer().Want(t, 200).Object(t), want, "%.60q", c.request)
		}
	})
}
