package python_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const asBrowser = "Sec-Fetch-Mode: navigate"

func hinting(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return fapwstest.Command{Script: "hints.py", Args: []string{folder}, Flags: []string{"--h2c"}}.Serve(t, m), folder
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
