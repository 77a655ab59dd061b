package python_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/http1"
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
			s := fapwstest.Command{Script: "raising.py", Flags: []string{"--debug", debug}, Complains: true}.Serve(t, m)
			w := s.Dial()
			for _, c := range cases {
				w.Send("GET " + c.path + "?q=<u> HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
				a := w.Answer().Want(t, 500).Field(t, "Content-Type", html, "X-Started", "")
				s.Says(`(?m)^` + c.report)
				name, _, _ := strings.Cut(c.report, ":")
				fapwstest.Equalf(t, strings.Contains(a.Text, name), debug == "1", "%s: the page is %.400q", c.path, a.Text)
			}
			if debug == "1" {
				page := w.Fetch("/value?q=<u>").Want(t, 500, "raise error", "own_text", "local &lt;u&gt;value", "raising.py").Text
				fapwstest.Truef(t, !strings.Contains(page, "<u>"), "not escaped: %q", page)
			}
			a := w.Fetch("/replaced").Want(t, 503, "sorry")
			fapwstest.Truef(t, a.Header.Get("X-First") == "" && a.Header.Get("X-Second") == "2", "replaced head: %q", a.Header)
			w.Fetch("/entered").Want(t, 200)
		})
	}
}

func TestTracebackIsLoggedOnceAfterALineWithTheRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "raising.py", Complains: true}.Serve(t, fapwstest.Inline)
	s.GetLogs("/value/x?y=1", 500, `(?m)^ValueError: boom & co\n`)
	s.Get("/entered", 200)
	said := s.Stderr.String()
	for _, once := range []string{"Traceback (most recent call last)", "GET /value/x?y=1 HTTP/1.1",
		"ends_ValueError", "ValueError: boom & co"} {
		fapwstest.Equalf(t, strings.Count(said, once), 1, "%q", once)
	}
}

func TestErrorAfterTheHeadAbortsTheResponse(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "raising.py", Complains: true}.Serve(t, m)
		w := s.Dial()
		a := w.Fetch("/late")
		fapwstest.Truef(t, a.StatusCode == 200 && a.Err != nil && a.Text == "first", "%d %q %v", a.StatusCode, a.Text, a.Err)
		w.Gone()
		w = s.DialSend("GET /late HTTP/1.0\r\n\r\n")
		fapwstest.Truef(t, w.Answer().Err != nil, "on HTTP/1.0 a broken response ends as a whole one does")
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
	fapwstest.AtOnce(4, func(int) {
		w := s.Dial()
		for range each {
			w.Fetch("/").Want(t, 500)
		}
	})
	whole := regexp.MustCompile(`error in handler fails, GET / HTTP/1\.1 from 127\.0\.0\.1 \(thread \d\)\n` +
		`Traceback .*\n(  .*\n)+TypeError: .*\n`)
	fapwstest.Eventually(t, "all tracebacks are whole", func() bool {
		return len(whole.FindAllString(s.Stderr.String(), -1)) == 4*each
	})
}

func TestHTTPErrorIsTheResponse(t *testing.T) {
	cases := []struct {
		path        string
		status      int
		field, body string
	}{
		{"/missing", 404, "X-Own: yes", "<h1>Not Found</h1>\n<p>No &lt;b&gt;such&lt;/b&gt; page &amp; more</p>\n"},
		{"/missing", 404, "X-First: ", "<title>404 Not Found</title>"},
		{"/generator", 403, "X-First: ", "<h1>Forbidden</h1>\n<p>You may not see this page.</p>\n"},
		{"/iterator", 410, "Content-Type: text/html; charset=utf-8", "<h1>Gone</h1>\n<p>in an iterator</p>\n"},
		{"/closed", 200, "", "1"},
		{"/moved", 303, "Location: /elsewhere", "<!doctype html><title>303 See Other</title>\n<h1>See Other</h1>\n"},
		{"/json", 422, "Content-Type: application/json", `{"error": "<no>"}`},
		{"/teapot", 418, "", ""},
		{"/line", 400, "", ""},
		{"/gone", 410, "", "<h1>Gone</h1>\n<p>gone</p>\n"},
	}
	for debug, m := range map[string]fapwstest.Mode{"0": fapwstest.Inline, "1": fapwstest.Threads} {
		t.Run("debug "+debug, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Serve(t, m, "httperror.py", "--debug", debug)
			w := s.Dial()
			for _, c := range cases {
				a := w.Fetch(c.path).Want(t, c.status)
				fapwstest.Truef(t, strings.Contains(a.Text, c.body), "%s: the page is %q", c.path, a.Text)
				if name, value, ok := strings.Cut(c.field, ": "); ok {
					a.Field(t, name, value)
				}
			}
			s.Get("/closed", 200)
			if debug == "0" {
				said := s.Stderr.String()
				fapwstest.Truef(t, !strings.Contains(said, "answer of handler"), "says more than asked for: %s", said)
				return
			}
			s.Says(`(?m) info request \w{8}: answer of handler missing, GET /missing HTTP/1.1 from 127.0.0.1: 404 Not Found: ` +
				`No <b>such</b> page & more$`)
			s.Says(`(?m) info request \w{8}: answer of handler line, .*: 400 Bad Request: a\\nfapws: b\\x1b\[31m$`)
		})
	}
}

func TestPagesOfScriptsAndOfTheServerLookAlike(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "httperror.py")
	for _, status := range []int{400, 401, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504} {
		a := s.Get("/status/"+strconv.Itoa(status), status).Field(t, "Content-Security-Policy", http1.Policy(false))
		got := smallPrint.ReplaceAllString(a.Text, "TIME")
		page := http1.ErrorPage{Status: status}
		if status >= 500 {
			page.Note = "TIME"
		}
		fapwstest.Equal(t, got, string(page.HTML()))
	}
}

var smallPrint = regexp.MustCompile(`Request (\w+), \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [-+]\d{4}`)

// The user of a page quotes the small print, and the operator finds the request in the log. A text for other clients has
// the same line.
func TestPagesOfFailedRequestsHaveTheIDAndTheTimeOfTheLog(t *testing.T) {
	const script = "import time\nfrom fapws import HTTPError\n" +
		"def boom(e, s): 1 / 0\ndef hang(e, s): time.sleep(60)\ndef gone(e, s): raise HTTPError(502)\n" +
		"PATHS = [('/boom', boom), ('/hang', hang), ('/gone', gone)]\n"
	path := fapwstest.Write(t, t.TempDir()+"/app.py", script)
	for name, flags := range map[string][]string{"alone": {}, "identified": {"--request-id"}, "inline": {"--threads", "0"},
		"fork": {"--fork"}, "develop": {"--debug", "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			access := t.TempDir() + "/access.log"
			s := fapwstest.Command{Script: path, Complains: true, Flags: append(flags, "--timeout", "200ms", "--access-log",
				access, "--access-log-format", "%s %{fapws.request_id}e")}.Serve(t, fapwstest.Mode{})
			seen := map[string]bool{}
			for _, accept := range []string{"text/html", "*/*"} {
				for path, status := range map[string]int{"/boom": 500, "/hang": 504, "/gone": 502, "/none": 404} {
					a := s.Ask("GET "+path+" HTTP/1.1\r\nHost: a\r\nAccept: "+accept+"\r\n\r\n").Want(t, status)
					shown := smallPrint.FindStringSubmatch(a.Text)
					fapwstest.Equalf(t, shown != nil, status >= 500, "small print of %s: %s", path, a.Text)
					if name != "develop" {
						fapwstest.Truef(t, !strings.Contains(a.Text, "app.py") && !strings.Contains(a.Text, "Paths here"),
							"details of %s for every client: %s", path, a.Text)
					}
					if shown == nil {
						continue
					}
					if name == "develop" && path == "/boom" && accept == "*/*" {
						a.Want(t, 500, "ZeroDivisionError: division by zero\n\nRequest ").
							Field(t, "Content-Type", "text/plain; charset=utf-8")
					}
					id := shown[1]
					fapwstest.Truef(t, !seen[id], "%s has the id of another request", path)
					seen[id] = true
					if name == "identified" {
						a.Field(t, "X-Request-Id", id)
					}
					fapwstest.FileSays(t, access, fmt.Sprintf("%d %s\n", status, id))
					if path != "/gone" {
						s.Says(`(?m)^[^a-z]* error (client \S+ )?request ` + id + `: .* in handler `)
					}
				}
			}
		})
	}
}

func TestDeveloperSeesWhyThereIsNoResponse(t *testing.T) {
	path := fapwstest.Write(t, t.TempDir()+"/app.py", "async def app(scope, receive, send): pass\n")
	for _, debug := range []string{"0", "1"} {
		s := fapwstest.Command{Script: path, Complains: true, Flags: []string{"--lifespan", "off", "--debug", debug}}.
			Serve(t, fapwstest.Mode{})
		const reason = "the application returned without a response"
		fapwstest.Equal(t, strings.Contains(s.Get("/", 500).Text, reason), debug == "1")
		s.Says(reason)
	}
}

func TestHTTPErrorWithAnInvalidValueIsAHandlerError(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "httperror.py", Complains: true}.Serve(t, fapwstest.Inline)
	s.GetLogs("/wrong", 500, `(?m)^ValueError: HTTPError: the status must be from 400 to 599, not 200$`)
	s.GetLogs("/bad", 500, `again and again`)
	a := s.Dial().Fetch("/late")
	fapwstest.Truef(t, a.StatusCode == 200 && a.Err != nil && a.Text == "first", "%d %q %v", a.StatusCode, a.Text, a.Err)
	s.Says(`(?m)^fapws._errors.HTTPError: 404 Not Found$`)
}

// The text of the exception contains data of the client. The server must not write its control sequences to a
// terminal.
func TestExceptionTextCannotForgeLogLines(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
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
			_, _ = s.DialGet(path + "?" + url.QueryEscape(evil)).Reads()
			s.Says("last of " + regexp.QuoteMeta(path))
		}
		text := s.Stderr.String()
		fapwstest.Equalf(t, regexp.MustCompile(`(?m)^(2026-01-01|\[Thu Jan 01).*`).FindString(text), "", "a line is forged")
		fapwstest.Truef(t, !strings.ContainsAny(text, "\r\x1b\u009b\u2028\u202e\u2066"), "%q", text)
		fapwstest.Truef(t, regexp.MustCompile(`(?m)^ .*info forged$`).MatchString(text) || m.Forks(),
			"the lines of the message are no lines")
	})
}

// The application sets a different time zone, as Django does.
func TestLogKeepsTheZoneOfTheServer(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import os, time
os.environ["TZ"] = "TEST-9:30"
time.tzset()

def fails(environ, start_response):
    raise ValueError(time.tzname[0])

PATHS = [("/", fails)]
`)
	log := t.TempDir() + "/access"
	s := fapwstest.Command{Script: script, Env: []string{"TZ=TEST5"}, Flags: []string{"--access-log", log},
		Complains: true}.Serve(t, fapwstest.Threads)
	begun := time.Now().Truncate(time.Millisecond)
	s.GetLogs("/", 500, "ValueError: TEST")
	s.Stop()
	fapwstest.FileSays(t, log, "-0500]")
	lines := regexp.MustCompile(`(?m)^\d{4}-\S+ \d\d:\d\d:\d\d\.\d{3} -0500 (error|info)`).
		FindAllString(s.Stderr.String(), -1)
	fapwstest.Truef(t, len(lines) >= 2, "lines %q", lines)
	for _, line := range lines {
		stamp, _, _ := strings.Cut(line, " e")
		stamp, _, _ = strings.Cut(stamp, " i")
		at, err := time.Parse("2006-01-02 15:04:05.000 -0700", stamp)
		fapwstest.Truef(t, err == nil && !at.Before(begun) && !at.After(time.Now()), "%q, %v; the requests began at %v", line,
			err, begun)
	}
}
