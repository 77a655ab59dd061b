package python_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// An application can call start_response again with exc_info, the exception that it has caught. If the head of the
// response was sent, start_response raises this exception again. The server keeps no reference to the exception.
func TestExcInfoReplacesAHeadThatWasNotSent(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Command{Script: "startresponse.py", Complains: true}.Serve(t, m)
			freed := func() {
				t.Helper()
				s.Get("/marker", 200).Is(t, "True")
			}

			s.Get("/replaced", 500).Want(t, 500, "sorry").Field(t, "X-First", "", "Content-Length", "5")
			freed()
			s.Get("/first", 503).Want(t, 503, "sorry")
			freed()
			if a := s.Ask(fapwstest.Get("/late")); a.StatusCode != 200 || a.Err == nil || a.Text != "begun" {
				t.Errorf("late: %d, %q, %v", a.StatusCode, a.Text, a.Err)
			}
			s.Says(`in late\n(.*\n)*.*in fails\n(.*\n)*.*ValueError: the error\n`)
			freed()
			s.Get("/caught", 200).Is(t, "begun raised the error").Field(t, "X-Late", "")
			freed()
			for _, junk := range []string{"tuple", "short", "true", "nothing", "traceback"} {
				s.Get("/junk/"+junk, 200).Want(t, 200, "begun exc_info must be a tuple (type, value, traceback)")
			}
		})
}

func TestStartResponseIsCalledOnceBeforeTheFirstByte(t *testing.T) {
	cases := []struct {
		path   string
		status int
		body   string
	}{
		{"/twice/caught", 201, "first"},
		{"/at-first-chunk", 202, "body"},
		{"/after-first-chunk", 200, "begun start_response() must be called before the first byte of the body is returned"},
		{"/never", 200, "no call"},
		{"/half", 500, "error page"},
		{"/half/status", 500, "error page"},
	}
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "startresponse.py", Complains: true}.Serve(t, m)
		for _, c := range cases {
			a := s.Get(c.path, c.status)
			fapwstest.Truef(t, a.Text == c.body && a.Header.Get("X-Second") == "" && a.Header.Get("X-Lost") == "" && !a.Close,
				"%s: %q with %q", c.path, a.Text, a.Header)
		}
		s.Get("/half", 500).Field(t, "Content-Type", "text/plain", "X-Kept", "1")
		fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "Traceback"),
			"errors that the application has dealt with are reported")
		for path, report := range map[string]string{
			"/twice":         `AssertionError: start_response\(\) was already called`,
			"/twice/none":    `AssertionError: start_response\(\) was already called`,
			"/nothing-given": `TypeError: .*start_response`,
		} {
			s.Get(path, 500)
			s.Says(report)
		}
	})
}

func TestInvalidHeadIsAHandlerError(t *testing.T) {
	t.Parallel()
	headers := map[string]string{
		"bytes-name":  `TypeError: header name must be str, not bytes`,
		"bytes-value": `TypeError: header value must be str, not bytes`,
		"int-value":   `TypeError: header value must be str, not int`,
		"none-value":  `TypeError: header value must be str, not NoneType`,
		"euro":        `ValueError: header value '\x{20ac}' cannot be encoded as latin-1`,
		"euro-name":   `ValueError: header name 'X-\x{20ac}' cannot be encoded as latin-1`,
		"empty-name":  `ValueError: header name '' is not a token`,
		"space-name":  `ValueError: header name 'X A' is not a token`,
		"colon-name":  `ValueError: header name 'X-A:' is not a token`,
		"latin-name":  `ValueError: header name 'X-\x{e9}' is not a token`,
		"newline":     `ValueError: header X-A: value 'b\\nX-C: d' has a control character`,
		"triple":      `TypeError: headers\[0\] must be a tuple \(name, value\), not \('X-A', '1', '2'\)`,
		"single":      `TypeError: headers\[0\] must be a tuple \(name, value\), not \('X-A',\)`,
		"text":        `TypeError: headers\[0\] must be a tuple \(name, value\), not 'X-A: 1'`,
		"dict":        `TypeError: headers must be a list of \(name, value\) tuples, not a dict`,
		"none":        `TypeError: headers must be a list of \(name, value\) tuples`,
		"number":      `TypeError: headers must be a list of \(name, value\) tuples`,

		"negative-length": `ValueError: Content-Length '-1' is not a number of bytes`,
		"word-length":     `ValueError: Content-Length 'ten' is not a number of bytes`,
		"two-lengths":     `ValueError: conflicting Content-Lengths 1 and 2`,
	}
	status := map[string]string{
		"bytes": `TypeError: status must be str, not bytes`, "none": `TypeError: status must be str, not NoneType`,
		"no-space":   `ValueError: status '200OK' must have the form '200 OK'`,
		"two-digits": `ValueError: status '20 OK' must have`,
		"letters":    `ValueError: status 'OK' must have`,
		"euro":       `ValueError: status '200 \x{20ac}' cannot be encoded as latin-1`,
		"float":      `TypeError: status must be str, not float`,
	}
	s := fapwstest.Command{Script: "startresponse.py", Complains: true}.Serve(t, fapwstest.Threads)
	w := s.Dial()
	for query, report := range headers {
		w.Fetch("/headers?"+query).Want(t, 500)
		s.Says(report)
	}
	for query, report := range status {
		w.Fetch("/status?"+query).Want(t, 500)
		s.Says(report)
	}
	for query, reason := range map[string]string{
		"number": "Accepted", "bare": "Accepted", "space": "Accepted", "latin": "\xe9t\xe9",
		"long": strings.Repeat("x", 300), "colon": "A: b", "subclass": "Text",
	} {
		a := w.Fetch("/good?"+query).Want(t, 202, "body").Field(t, "Content-Type", "text/plain", "X-List",
			"ok", "X-Latin", "\xe9")
		fapwstest.Equalf(t, a.Status, "202 "+reason, "%s: status", query)
	}
}

func TestHopByHopFieldsOfAnApplicationAreRemoved(t *testing.T) {
	t.Parallel()
	w := fapwstest.Serve(t, fapwstest.Inline, "startresponse.py").Dial()
	for _, field := range []string{
		"Connection=x-kept", "Keep-Alive=timeout%3d1", "Proxy-Authenticate=Basic", "Proxy-Authorization=x",
		"Proxy-Connection=close",
		"TE=trailers", "Trailers=X-A", "Trailer=X-A", "Transfer-Encoding=gzip", "Upgrade=websocket",
		"Connection=close",
	} {
		w.Get("/hops?" + field)
		name, _, _ := strings.Cut(field, "=")
		a := w.Answer().Is(t, "body").Field(t, name, "", "X-Kept", "1", "Content-Length", "4")
		fapwstest.Truef(t, len(a.TransferEncoding) == 0 && a.Close == (field == "Connection=close") && a.ProtoMinor == 1 &&
			len(a.Trailer) == 0, "%s: %q", field, a.Header)
	}
}

// These header fields are from public tests of other servers: tests/wsgi/headers.py of mod_wsgi, and headers.py of
// bjoern.
func TestFieldsOfOtherServersTestsAreSent(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "peers.py")
	for range 3 {
		a := s.Get("/fields", 200).Is(t, "ok").Field(t, "Content-Type", "text/plain", "Set-Cookie", "a=1, b=2; Path=/",
			"X-Empty", "", "X-Latin", "caf\xe9", "X-Long", strings.Repeat("l", 60000), "X-Tab", "a\tb")
		for i := range 100 {
			a.Field(t, fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
		fapwstest.Truef(t, len(a.Header["X-Empty"]) == 1 && a.Status == "200 Very Well", "%s %q", a.Status,
			a.Header["X-Empty"])
	}
	w := s.Dial()
	for i := 1; i <= 40; i++ {
		w.Fetch("/same_list").Is(t, fmt.Sprint(i)).Field(t, "X-Count", fmt.Sprint(i))
	}
}

func TestWriteSendsBeforeTheResult(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s := fapwstest.Command{Script: "write.py", Args: []string{t.TempDir()}, Complains: true}.Serve(t, m)
			s.Get("/only", 200).Is(t, "one,tw\u00f6,three,four").Field(t, "Content-Type", "text/plain")
			s.Get("/file", 200).Is(t, "before 0123456789")
			s.Get("/json", 200).Is(t, `before {"a":1}`)
			s.Get("/generator", 200).Is(t, "before one,between,two")
			s.Ask("GET /generator HTTP/1.0\r\n\r\n").Is(t, "before one,between,two")
			w := s.DialSend(fapwstest.Request("HEAD", "/generator", ""), fapwstest.Get("/"))
			w.AnswerTo("HEAD").Want(t, 200)
			w.Answer().Is(t, "quick")

			s.GetLogs("/early", 500, `AssertionError: write\(\) before start_response\(\)`)
			s.GetLogs("/number", 500, `TypeError: a response must consist of str or bytes, not int: 7`)
			a := s.Ask(fapwstest.Get("/none"))
			fapwstest.Truef(t, a.Err != nil && a.Text == "written", "none: %q, %v", a.Text, a.Err)
			s.Says(`handler none \(\S+, line \d+\) returned None, as`)
			fapwstest.Equal(t, len(s.Get("/many?200", 200).Text), 200*65536+3)
		})
}

func TestWriteWaitsForAClientThatDoesNotRead(t *testing.T) {
	// Inline mode is not tested: the event loop runs the handler, and could not send data while write() waits.
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "write.py", Args: []string{folder}}.Serve(t, fapwstest.Threads)

	w := s.DialGet("/many?1000")
	r := w.Head("GET")
	before := s.RSS()
	for range 100 {
		s.Get("/", 200).Is(t, "quick")
	}
	grown := s.RSS() - before
	fapwstest.Truef(t, grown <= 30<<20, "%d MB more while a client does not read", grown>>20)
	n, err := io.Copy(io.Discard, r.Body)
	fapwstest.Truef(t, n == 1000*65536+3 && err == nil, "%d bytes, %v", n, err)

	for _, how := range []string{"caught", "raise"} {
		w = s.DialGet("/endless?" + how)
		w.Head("GET")
		w.Reset()
	}
	fapwstest.FileSays(t, folder+"/ended", "ClientDisconnected\nClientDisconnected\n")
	s.Get("/", 200).Is(t, "quick")
}

func TestWriteThatWaitsLeavesThreadsForOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Flags: []string{"--threads", "2"}, Script: "write.py", Args: []string{folder},
		Complains: true}.Serve(t, fapwstest.Threads)
	var clients []*fapwstest.Client
	for range 12 {
		w := s.DialGet("/endless?caught")
		w.Head("GET")
		clients = append(clients, w)
	}
	for range 20 {
		s.Get("/", 200).Is(t, "quick")
	}
	for _, w := range clients {
		w.Reset()
	}
	fapwstest.FileSays(t, folder+"/ended", strings.Repeat("ClientDisconnected\n", len(clients)))
	for range 300 {
		s.Dial().Get("/endless?caught")
	}
	s.Says(`handler endless, GET /endless\?caught HTTP/1.1 from 127.0.0.1: response ended: too many threads wait for ` +
		`clients that do not read`)
	s.Get("/", 200).Is(t, "quick")
}

const asBrowser = "Sec-Fetch-Mode: navigate"

func hinting(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return fapwstest.Command{Script: "hints.py", Args: []string{folder}, Flags: []string{"--h2c", "--http1-early-hints"}}.Serve(t, m), folder
}

// links returns the status and the Link fields of each response that arrives, and the body of the last response.
func links(t *testing.T, s *fapwstest.Server, args ...string) string {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"-sSi"}, args...)...).CombinedOutput()
	fapwstest.Needf(t, err == nil, "curl %q: %v\n%s", args, err, out)
	var seen []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "HTTP/") {
			seen = append(seen, strings.Fields(line)[1])
		} else if name, value, is := strings.Cut(line, ": "); is && strings.EqualFold(name, "link") {
			seen = append(seen, value)
		}
	}
	_, body, _ := strings.Cut(string(out), "\r\n\r\n")
	for strings.HasPrefix(body, "HTTP/") {
		_, body, _ = strings.Cut(body, "\r\n\r\n")
	}
	return strings.Join(append(seen, body), " ")
}

func TestEarlyHintsArriveBeforeTheResponse(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hinting(t, m)
		for target, want := range map[string]string{
			"/waits":       "</a.css>; rel=preload; as=style </b.js>; rel=preload; as=script",
			"/waits_async": "</a.css>; rel=preload; as=style </b.js>; rel=preload; as=script",
			"/asgi/waits":  "</a.css>; rel=preload; as=style",
		} {
			w := s.DialSend(fapwstest.Get(target, asBrowser))
			r, err := http.ReadResponse(w.In, nil)
			fapwstest.Needf(t, err == nil, "%q %v", target, err)
			fapwstest.Truef(t, r.StatusCode == 103 && strings.Join(r.Header["Link"], " ") == want && len(r.Header) == 1,
				"%s: %d %v", target, r.StatusCode, r.Header)
			fapwstest.Write(t, folder+"/go", "")
			if target == "/asgi/waits" { // the hint that follows http.response.start
				r, err := http.ReadResponse(w.In, nil)
				fapwstest.Truef(t, err == nil && r.StatusCode == 103, "%v %v", r, err)
			}
			if a := w.Answer(); a.StatusCode != 200 || !strings.HasSuffix(a.Text, "page") || a.Header["Link"] != nil {
				t.Errorf("%s: %d %q %v", target, a.StatusCode, a.Text, a.Header)
			}
			fapwstest.Must(t, os.Remove(folder+"/go"))
		}
	})
}

// A proxy such as nginx 1.22 takes a 103 for the final response and waits for its body, and no field of the request
// shows that there is a proxy.
func TestEarlyHintsAreNotSentOverHTTP1ByDefault(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		fapwstest.Write(t, folder+"/go", "")
		s := fapwstest.Command{Script: "hints.py", Args: []string{folder}, Flags: []string{"--h2c"}}.Serve(t, m)
		for target, want := range map[string]string{"/waits": "page", "/waits_async": "page", "/asgi": "plain page"} {
			for _, field := range []string{"X-None: 1", "X-Forwarded-For: 192.0.2.1", "Via: 1.1 nginx"} {
				got := links(t, s, "--http1.1", "-H", asBrowser, "-H", field, s.URL+target)
				fapwstest.Equalf(t, got, "200 "+want, "%s, %s", target, field)
			}
			got := links(t, s, "--http2-prior-knowledge", s.URL+target)
			fapwstest.Truef(t, strings.HasPrefix(got, "103 "), "%s over HTTP/2: %q", target, got)
		}
	})
}

// Python's http.client treats a 103 as the final response, so the server sends early hints only to browsers and over
// HTTP/2.
func TestEarlyHintsAreCheckedAndReachOnlyClientsThatUnderstandThem(t *testing.T) {
	t.Parallel()
	s, folder := hinting(t, fapwstest.Threads)
	fapwstest.Write(t, folder+"/go", "")
	for target, want := range map[string]string{"/waits": "page", "/asgi": "plain page"} {
		out, err := exec.Command("python3", "-c",
			"import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read())", s.URL+target).CombinedOutput()
		fapwstest.Truef(t, string(out) == fmt.Sprintf("b'%s'\n", want) && err == nil, "%s: %s %v", target, out, err)
		for _, args := range [][]string{{"--http1.1"}, {"--http1.0", "-H", asBrowser},
			{"--http1.1", "-H", "Sec-Fetch-Mode: cors"}, {"--http1.1", "-H", "Sec-Fetch-Mode: navigate2"}} {
			fapwstest.Equalf(t, links(t, s, append(args, s.URL+target)...), "200 "+want, "%s %q", target, args)
		}
	}
	const both = "103 </a.css>; rel=preload; as=style </b.js>; rel=preload; as=script 200 page"
	const two = "103 </a.css>; rel=preload; as=style 103 </b.js>; rel=preload; as=script 200 early page"
	for _, args := range [][]string{{"--http1.1", "-H", asBrowser}, {"--http2-prior-knowledge"}} {
		for target, want := range map[string]string{"/waits": both, "/asgi": two} {
			fapwstest.Equalf(t, links(t, s, append(args, s.URL+target)...), want, "%s %q", target, args)
		}
	}
	boundsAndChecksHints(t, s)
}

func boundsAndChecksHints(t *testing.T, s *fapwstest.Server) {
	get := func(target string) string { return links(t, s, "--http2-prior-knowledge", s.URL+target) }
	got := get("/many")
	fapwstest.Truef(t, strings.Count(got, "103 ") == 16 && strings.HasSuffix(got, "</15.css> 200 page"), "many: %q", got)
	got = get("/large")
	fapwstest.Truef(t, strings.Count(got, "103 ") == 2 && strings.HasSuffix(got, " 200 page"), "large: %d bytes", len(got))
	fapwstest.Equalf(t, get("/late"), "200 page", "after the head")
	fapwstest.Equalf(t, get("/wrong"), "200 ValueError TypeError ValueError TypeError ValueError", "wrong")
	got = get("/asgi/wrong")
	fapwstest.Truef(t, strings.HasSuffix(got, " 200 early ValueError TypeError TypeError page"), "wrong in ASGI: %q", got)
}

// In inline mode, the timeout restarts after each call of write(). The handler can send hints for 13 seconds.
func TestEarlyHintsOfAHandlerDoNotExtendTheTimeout(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		script := fapwstest.Write(t, t.TempDir()+"/hangs.py", `
import time

def application(environ, start_response):
    while True:
        environ["wsgi.early_hints"]([("Link", "</a>")])
        time.sleep(0.8)
`)
		s := fapwstest.Command{Script: script, Flags: []string{"--h2c", "--timeout", "1s"}, Complains: true}.Serve(t, m)
		got := links(t, s, "--http2-prior-knowledge", s.URL)
		n := strings.Count(got, "103 </a> ")
		fapwstest.Truef(t, n != 0 && n != 16 && strings.Contains(got, " 504 "), "%d hints: %q", n, got)
	})
}
