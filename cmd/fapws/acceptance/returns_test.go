package acceptance

import (
	"strings"
	"testing"
)

const (
	html   = "text/html; charset=utf-8"
	octets = "application/octet-stream"
)

func TestReturns(t *testing.T) {
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
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := serve(t, m, "returns.py")
		for _, c := range cases {
			s.get(c.path, 200).is(t, c.body).field(t, "Content-Type", c.mediaType)
		}
		s.get("/proc", 200).want(t, 200, "Name:\t") // a regular file of 0 bytes, it says
		s.get("/devnull", 200).is(t, "")
		s.get("/popen", 200).is(t, "a pipe\n")
		s.get("/typed", 203).field(t, "Content-Type", "text/x-own").field(t, "X-One", "1, 2")
		a := s.get("/late", 202)
		if a.field(t, "Content-Type", "text/x-late"); a.body != "late" {
			t.Errorf("/late: %q", a.body)
		}
		if a := s.get("/big", 200); a.body != strings.Repeat("0123456789abcdef", 2<<16) || a.ContentLength != 2<<20 {
			t.Errorf("/big: %d bytes, announced %d", len(a.body), a.ContentLength)
		}
	})
}

// A length that is not known beforehand: chunks on 1.1, the end of the
// connection on 1.0.
func TestReturnsFraming(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := serve(t, m, "returns.py")
		for _, c := range []struct {
			path    string
			chunked bool
		}{
			{"/str", false}, {"/list", false}, {"/file", false}, {"/dict", false}, {"/empty", false},
			{"/generator", true}, {"/map", true}, {"/written", true},
		} {
			a := s.get(c.path, 200)
			if chunked := len(a.TransferEncoding) == 1; chunked != c.chunked || (a.ContentLength >= 0) == c.chunked {
				t.Errorf("%s: chunked %v, Content-Length %d", c.path, chunked, a.ContentLength)
			}
			w := s.dial()
			w.send("GET ", c.path, " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			head := w.head("GET")
			switch {
			case len(head.TransferEncoding) > 0:
				t.Errorf("%s: %v on HTTP/1.0", c.path, head.TransferEncoding)
			case c.chunked && (head.ContentLength >= 0 || !head.Close):
				t.Errorf("%s: on HTTP/1.0 with length %d and %q", c.path, head.ContentLength, head.Header)
			case c.chunked:
				if body := w.rest(); body != a.body {
					t.Errorf("%s: %q on HTTP/1.0, %q on 1.1", c.path, body, a.body)
				}
			}
		}
	})
}

// What is no response is a 500, and the log names the handler and the value.
func TestReturnsRefused(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		s := command{script: "returns.py", complains: true}.serve(t, m)
		s.get("/none", 500)
		s.says(`handler none returned None;`)
		s.get("/number", 500)
		s.says(`handler number returned 7;`)
		s.get("/mixed", 500)
		s.says(`handler mixed.*\n(.*\n)*.*not of int: 7`)
		s.get("/surrogate", 500)
		s.says(`UnicodeEncodeError`)
		s.get("/str", 200)
	})
}
