package python_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// closings serves iterables.py and counts calls of close(), which the server must make exactly once for each result.
type closings struct {
	*fapwstest.Server
	folder string
	n      int
}

func serveIterables(t *testing.T, m fapwstest.Mode) *closings {
	t.Helper()
	folder := t.TempDir()
	return &closings{fapwstest.Command{Script: "iterables.py", Args: []string{folder},
		Flags: []string{"--graceful-timeout", "200ms"}, Complains: true}.Serve(t, m), folder, 0}
}

func (c *closings) target(kind, more string) (target, mark string) {
	c.n++
	name := fmt.Sprintf("%s-%d", kind, c.n)
	return "/?kind=" + kind + "&name=" + name + more, c.folder + "/" + name
}

func (c *closings) once(what, mark string) {
	c.T.Helper()
	fapwstest.FileSays(c.T, mark, "closed\n")
	c.Get("/quick", 200).Is(c.T, "quick")
	text, _ := os.ReadFile(mark)
	fapwstest.Equalf(c.T, string(text), "closed\n", "%s", what)
}

func TestExceptionInCloseDoesNotChangeTheResponse(t *testing.T) {
	t.Parallel()
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks} {
		s := serveIterables(t, m)
		w := s.Dial()
		for range 2 {
			target, _ := s.target("unclosable", "")
			w.Fetch(target).Is(t, "one,two")
		}
		s.Says(`error in close\(\) of handler application, GET /\?kind=unclosable&name=unclosable-2 `)
	}
}

// The server knows the length of the body if the iterable has one item, or if it yields no bytes at all (PEP 3333,
// "Handling the Content-Length Header").
func TestIterablesAreChunkedUnlessTheirLengthIsKnown(t *testing.T) {
	cases := []struct {
		kind, body string
		length     int64 // length, or -1 if the server does not know it
	}{
		{"plain", "one,two", -1}, {"separate", "one,two", -1}, {"generator", "one,two", -1}, {"tuple", "one,two", -1},
		{"sized", "one,two", -1}, {"no-len", "one,two", -1}, {"unclosable", "one,two", -1},
		{"single", "one,two", 7}, {"lying", "one,", 4},
		{"single-empty", "", 0}, {"none", "", 0}, {"no-chunk", "", 0}, {"empty-chunks", "", 0},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serveIterables(t, m)
		w := s.Dial()
		for _, c := range cases {
			target, mark := s.target(c.kind, "")
			a := w.Fetch(target).Is(t, c.body)
			fapwstest.Truef(t, a.ContentLength == c.length && (len(a.TransferEncoding) == 1) == (c.length < 0),
				"%s: length %d, %v", c.kind, a.ContentLength, a.TransferEncoding)
			s.once(c.kind, mark)

			target, mark = s.target(c.kind, "")
			w.Send(fapwstest.Request("HEAD", target, ""))
			if a := w.AnswerTo("HEAD").Want(t, 200); a.ContentLength > 0 && a.ContentLength != c.length {
				t.Errorf("HEAD %s: length %d", c.kind, a.ContentLength)
			}
			s.once("HEAD "+c.kind, mark)

			target, mark = s.target(c.kind, "")
			old := s.Dial()
			old.Send("GET ", target, " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			a = old.Answer().Is(t, c.body)
			fapwstest.Truef(t, len(a.TransferEncoding) == 0 && a.Close == (c.length < 0), "%s on HTTP/1.0: %v, close %v", c.kind,
				a.TransferEncoding, a.Close)
			s.once(c.kind+" on HTTP/1.0", mark)
		}
		s.Says(`ValueError: close failed`)
		s.Says(`body exceeds its Content-Length of 4`)
	})
}

// Streams that a stop aborts are closed, too.
func TestCloseRunsOnceForEachIterable(t *testing.T) {
	cases := []struct {
		name, kind, more string
		status           int
		body             string
		broken           bool
	}{
		{"raises", "raises", "", 200, "one,two", true},
		{"raises at first", "raises-first", "", 500, "Internal Server Error", false},
		{"raises before", "unready", "", 500, "Internal Server Error", false},
		{"SystemExit", "stops", "", 200, "one,two", true},
		{"no bytes", "number", "", 200, "one,", true},
		{"no bytes at first", "number-first", "", 500, "Internal Server Error", false},
		{"no bytes in a tuple", "not-iterable", "", 500, "Internal Server Error", false},
		{"start_response raises", "late", "", 500, "Internal Server Error", false},
		{"204", "plain", "&status=204", 204, "", false},
		{"304", "plain", "&status=304", 304, "", false},
		{"204, endless", "endless", "&status=204", 204, "", false},
		{"304 that raises", "raises-first", "&status=304", 500, "Internal Server Error", false},
		{"Content-Length fits", "plain", "&length=7", 200, "one,two", false},
		{"Content-Length of one chunk", "single", "&length=7", 200, "one,two", false},
		{"Content-Length too short", "plain", "&length=2", 200, "on", false},
		{"Content-Length too short for a single", "single", "&length=5", 200, "one,t", false},
		{"Content-Length too short, endless", "endless", "&length=1500", 200, strings.Repeat("x", 1500), false},
		{"Content-Length too long", "plain", "&length=9", 200, "one,two", true},
		{"Content-Length too long for a generator", "generator", "&length=9", 200, "one,two", true},
		{"Content-Length 0", "plain", "&length=0", 200, "", false},
		{"Content-Length and nothing", "no-chunk", "&length=3", 200, "", true},
		{"Content-Length, and raises after it", "raises", "&length=7", 200, "one,two", false},
		{"written before", "plain", "&write=zero,", 200, "zero,one,two", false},
		{"written before a single", "single", "&write=zero,", 200, "zero,one,two", false},
		{"written before a tuple", "tuple", "&write=zero,", 200, "zero,one,two", false},
		{"written, Content-Length fits", "plain", "&write=zero,&length=12", 200, "zero,one,two", false},
		{"written, Content-Length too short", "plain", "&write=zero,&length=7", 200, "zero,on", false},
		{"written beyond Content-Length", "endless", "&write=zero,&length=3", 200, "zer", false},
		{"written, Content-Length too long", "generator", "&write=zero,&length=13", 200, "zero,one,two", true},
		{"written, and raises", "raises-first", "&write=zero,", 200, "zero,", true},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := serveIterables(t, m)
		for _, c := range cases {
			target, mark := s.target(c.kind, c.more)
			w := s.Dial()
			a := w.Fetch(target)
			fapwstest.Truef(t, a.StatusCode == c.status && (a.Err != nil) == c.broken && (c.status == 500 || a.Text == c.body) &&
				strings.Contains(a.Text, c.body), "%s: %d, %q, %v", c.name, a.StatusCode, a.Text, a.Err)
			fapwstest.Truef(t, c.status != 204 || (a.ContentLength <= 0 && a.Header.Get("Content-Length") == ""), "%s: %v",
				c.name, a.Header)
			s.once(c.name, mark)
			if c.status == 500 {
				target, mark = s.target(c.kind, c.more)
				w.Send(fapwstest.Request("HEAD", target, ""))
				head := w.AnswerTo("HEAD").Want(t, 500)
				fapwstest.Truef(t, head.ContentLength == a.ContentLength &&
					head.Header.Get("Content-Type") == a.Header.Get("Content-Type"), "HEAD, %s: %v", c.name, head.Header)
				s.once("HEAD, "+c.name, mark)
			}
			if c.broken {
				w.Gone()
			} else {
				w.Fetch("/quick").Is(t, "quick")
			}
		}
		target, mark := s.target("endless", "")
		w := s.Dial()
		w.Get(target)
		w.Head("GET")
		s.Stop()
		fapwstest.FileSays(t, mark, "closed\n")
	})
}
