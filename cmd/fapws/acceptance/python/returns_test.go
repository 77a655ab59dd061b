package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const (
	html   = "text/html; charset=utf-8"
	octets = "application/octet-stream"
)

func TestReturnValuesBecomeBodiesAndMediaTypes(t *testing.T) {
	cases := []struct{ path, body, mediaType string }{
		{"/str", "h\u00e9llo \u20ac", html},
		{"/empty", "", html},
		{"/bytes", "\x00\xff", octets},
		{"/bytearray", "array", octets},
		{"/list", "ab", octets},
		{"/strlist", "\u00e9b", html},
		{"/tuple", "ab", html},
		{"/sublist", "st", octets},
		{"/generator", "one,tw\u00f6,three", octets},
		{"/map", "012", html},
		{"/iterable", "xy", octets},
		{"/file", "456789", "text/plain; charset=utf-8"},
		{"/html", "<p>h\u00e9</p>\n", html},
		{"/text", "<p>h\u00e9</p>\n", html},
		{"/bytesio", "from memory", octets},
		{"/stringio", "t\u00e9xt", html},
		{"/odd", "block block ", octets},
		{"/wrapped", "wrapped", octets},
		{"/dict", `{"a":[1,null,"` + "\u00e9" + `"]}`, "application/json"},
		{"/written", "written and returned", "text/plain"},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Serve(t, m, "returns.py")
			for _, c := range cases {
				s.Get(c.path, 200).Is(t, c.body).Field(t, "Content-Type", c.mediaType)
			}
			for path, chunked := range map[string]bool{
				"/str": false, "/list": false, "/file": false, "/dict": false, "/empty": false, "/generator": true,
				"/map": true, "/written": true,
			} {
				if a := s.Get(path, 200); (len(a.TransferEncoding) == 1) != chunked ||
					(a.ContentLength >= 0) == chunked {
					t.Errorf("%s: %q, Content-Length %d", path, a.TransferEncoding, a.ContentLength)
				}
			}
			s.Get("/proc", 200).Want(t, 200, "Name:\t") // a regular file whose size is reported as 0 bytes
			s.Get("/devnull", 200).Is(t, "")
			s.Get("/popen", 200).Is(t, "a pipe\n")
			s.Get("/typed", 203).Field(t, "Content-Type", "text/x-own").Field(t, "X-One", "1, 2")
			a := s.Get("/late", 202)
			if a.Field(t, "Content-Type", "text/x-late"); a.Text != "late" {
				t.Errorf("/late: %q", a.Text)
			}
			if a := s.Get("/big", 200); a.Text != strings.Repeat("0123456789abcdef", 2<<16) ||
				a.ContentLength != 2<<20 {
				t.Errorf("/big: %d bytes, announced %d", len(a.Text), a.ContentLength)
			}
		})
}

func TestReturnValueThatIsNoResponseIs500(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "returns.py", Complains: true}.Serve(t, fapwstest.Inline)
	s.Get("/none", 500)
	s.Says(`handler none returned None;`)
	s.Get("/number", 500)
	s.Says(`handler number returned 7;`)
	s.Get("/mixed", 500)
	s.Says(`handler mixed.*\n(.*\n)*.*not int: 7`)
	s.Get("/surrogate", 500)
	s.Says(`UnicodeEncodeError`)
	s.Get("/str", 200)
}
