package python_test

import (
	"fmt"
	"os"
	"regexp"
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
				fapwstest.Equalf(t, s.Get(c.path, c.status).Text, c.body, "%s", c.path)
				s.Ask(fapwstest.Request("HEAD", c.path, "")).Want(t, c.status)
				fapwstest.Equalf(t, s.Ask("GET "+c.path+" HTTP/1.0\r\n\r\n").Want(t, c.status).Text, c.body, "%s on HTTP/1.0",
					c.path)
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

			w := s.DialGet("/endless")
			w.Head("GET")
			w.Reset()
			s.Get("/", 200).Is(t, "whole ")
			fapwstest.Lacks(t, s.Stderr.String(), "AssertionError", "Warning", "without being closed")
			s.Complains = true
			a := s.Ask(fapwstest.Get("/too-late"))
			fapwstest.Truef(t, a.Err != nil && a.Text == "begun", "too late: %q, %v", a.Text, a.Err)
			s.Says(`ValueError: too late`)
		})
}

type breach struct{ object, function, text, want string }

// breaches lists the applications in pep3333.py that violate PEP 3333, with the warning for each. The warning must name
// the function, and the number of the line that contains the field text.
var breaches = []breach{
	{"items", "items", "ok(", "an item of the body is a str; it must be bytes"},
	{"array", "array", "ok(", "an item of the body is a bytearray;"},
	{"set_of_text", "set_of_text", "ok(", "an item of the body is a str;"},
	{"whole", "whole", "ok(", "the result is a str; it must be an iterable of bytes"},
	{"whole_bytes", "whole_bytes", "ok(", "the result is a bytes;"},
	{"mapping", "mapping", "ok(", "the result is a dict, which is sent as JSON;"},
	{"text_file", "text_file", "ok(", "the result is a file of text;"},
	{"pieces", "pieces", `yield "xt"`, "an item of the body is a str;"},
	{"inner", "pieces", `yield "xt"`, "an item of the body is a str;"},
	{"Made", "__iter__", `yield "text"`, "an item of the body is a str;"},
	{"silent", "silent", "def", "start_response was not called;"},
	{"silent_pieces", "silent_pieces", "def", "start_response was not called;"},
	{"silent_status", "silent_status", "def", "start_response was not called;"},
	{"status", "status", "start_response(2", "the status is 200, an int; it must be a str such as '200 OK'"},
	{"status_form", "status_form", `start_response("`, "the status is '200'; it must have the form '200 OK'"},
	{"headers", "headers", `start_response("`, "the headers are a tuple; they must be a list"},
	{"pairs", "pairs", `start_response("`, "a header is a list; it must be a tuple (name, value)"},
	{"hop", "hop", `start_response("`, "the header 'Connection' is about the connection and belongs to the server"},
	{"keywords", "keywords", `start_response("`,
		"start_response is called with headers=; its arguments must be positional"},
	{"written", "written", `write("`, "write() is called with a str; it must be bytes"},
	{"wrapped", "whole", "ok(", "the result is a str;"},
	{"routed", "items", "ok(", "an item of the body is a str;"},
}

func TestDevWarnsOfEachBreachOfPEP3333(t *testing.T) {
	t.Parallel()
	const name = "testdata/pep3333.py"
	source := fapwstest.Try(os.ReadFile(name)).Must(t)
	script, other := fapwstest.Write(t, t.TempDir()+"/app.py", string(source)),
		fapwstest.Write(t, t.TempDir()+"/app.py", string(source))
	var table strings.Builder
	table.WriteString("[[host]]\n")
	for _, b := range append(breaches, breach{object: "value"}, breach{object: "nothing"}) {
		fmt.Fprintf(&table, "[[host.route]]\nprefix = \"/%s/\"\napp = \"app.py:%s\"\n", b.object, b.object)
	}
	serve := func(script string, flags ...string) *fapwstest.Server {
		file := fapwstest.Write(t, strings.TrimSuffix(script, "app.py")+"fapws.toml", table.String())
		return fapwstest.Command{Flags: append(flags, "-c", file), Complains: true}.Serve(t, fapwstest.Threads)
	}
	dev, plain := serve(script, "--dev"), serve(other)
	for _, b := range breaches {
		answers := [2]string{}
		for i, s := range []*fapwstest.Server{dev, dev, plain} {
			a := s.Ask(fapwstest.Request("GET", "/"+b.object+"/", ""))
			a.Header.Del("Date")
			answers[i/2] = fmt.Sprint(a.StatusCode, a.Header, a.Text)
		}
		fapwstest.Truef(t, answers[0] == answers[1], "%s: with --dev %s, without %s", b.object, answers[0], answers[1])
		text := string(source)
		at := strings.Index(text, "def "+b.function+"(")
		at += strings.Index(text[at:], b.text)
		line := fmt.Sprintf("warning %s, line %d, in %s: %s", script, 1+strings.Count(text[:at], "\n"), b.function, b.want)
		dev.Says(regexp.QuoteMeta(line) + `.*; other servers may fail \(PEP 3333, logged once\)`)
	}
	dev.Ask(fapwstest.Request("GET", "/value/", "")).Want(t, 500)
	dev.Says(`\n    start_response\("200 OK", \[\("Content-Length", 4\)\]\)\n( +[~^]+\n)?TypeError: `)
	// The error says it already.
	dev.Ask(fapwstest.Request("GET", "/nothing/", "")).Want(t, 500)
	dev.Says(`TypeError: handler \S*nothing \(` + regexp.QuoteMeta(script) + `, line \d+\) returned None, `)
	fapwstest.Equalf(t, strings.Count(dev.Stderr.String(), "PEP 3333"), len(breaches), "warnings")
	fapwstest.Truef(t, !strings.Contains(plain.Stderr.String(), "PEP 3333"), "warnings without --dev: %s", plain.Stderr)
}

func TestDevWarnsOnceOfEachLineThatBreaksPEP3333(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "pep3333.py:two_places", "--dev")
	for _, path := range []string{"/", "/other", "/", "/other"} {
		s.Get(path, 200).Is(t, "text")
	}
	lines := map[string]bool{}
	for _, found := range regexp.MustCompile(`pep3333\.py, line (\d+), in two_places: an item of the body is a str`).
		FindAllStringSubmatch(s.Stderr.String(), -1) {
		fapwstest.Truef(t, !lines[found[1]], "line %s is named twice", found[1])
		lines[found[1]] = true
	}
	fapwstest.Equalf(t, len(lines), 2, "lines that are named")
}

func TestDevDoesNotWarnOfWhatPEP3333Allows(t *testing.T) {
	t.Parallel()
	for _, object := range []string{"right", "late"} {
		s := fapwstest.Serve(t, fapwstest.Threads, "pep3333.py:"+object, "--dev")
		for _, path := range []string{"/list", "/written", "/file", "/iterator", "/closing", "/single", "/generator"} {
			a := s.Get(path, 200)
			fapwstest.Truef(t, strings.EqualFold(a.Text, "text"), "%s: %q", path, a.Text)
		}
		if object == "right" {
			s.Get("/closed", 200).Is(t, "1")
			s.Get("/single", 200).Field(t, "Content-Length", "4")
		}
		fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "PEP 3333"), "%s: %s", object, s.Stderr)
	}
}
