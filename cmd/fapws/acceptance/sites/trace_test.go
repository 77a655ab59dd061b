package sites_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const tracedApp = `
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = "HTTP_TRACEPARENT", "fapws.trace_id", "HTTP_TRACESTATE"
    return [" ".join(environ.get(key, "-") for key in keys).encode()]

async def asgi(scope, receive, send):
    fields = [value.decode() for name, value in scope["headers"] if name == b"traceparent"]
    state = [value.decode() for name, value in scope["headers"] if name == b"tracestate"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    text = " ".join([*fields, scope["fapws.trace_id"], *(state or "-")])
    await send({"type": "http.response.body", "body": text.encode()})
`

const tracedSite = `trace = %v
h2c = true
access-log = "access.log"
access-log-format = 'line %%{fapws.trace_id}e'
[[host]]
error-log = "error.log"
[[host.route]]
prefix = "/wsgi"
app = "traced.py:app"
[[host.route]]
prefix = "/asgi"
app = "traced.py:asgi"
[[host.route]]
prefix = "/cached"
app = "traced.py:app"
cache = "60s"
[[host.route]]
prefix = "/proxy"
proxy = "%s"
[[host.route]]
prefix = "/gone"
proxy = "unix:/nowhere.sock"
[[host.route]]
prefix = "/cgi/"
cgi = "bin"
`

const (
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirs     = "traceparent: 00-" + theirTrace + "-00f067aa0ba902b7-01"
)

var ours = regexp.MustCompile(`^(00-([0-9a-f]{32})-([0-9a-f]{16})-01) ([0-9a-f]{32}) (\S+)$`)

func TestSourceGetsTheTraceOfTheClientOrANewTrace(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parent := r.Header["Traceparent"]
		state := append(r.Header["Tracestate"], "-")[0]
		if len(parent) != 1 {
			parent = []string{fmt.Sprint(parent)}
		}
		fmt.Fprintf(w, "%s %s %s", parent[0], strings.Split(parent[0], "-")[1], state)
	}))
	t.Cleanup(upstream.Close)
	paths := []string{"/wsgi", "/proxy", "/cgi/env", "/asgi"}
	s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(tracedSite, true, upstream.URL), map[string]string{
		"traced.py": tracedApp,
		"bin/env": shell(plain,
			`id=${HTTP_TRACEPARENT#*-}; printf '%s %s %s' "$HTTP_TRACEPARENT" "${id%%-*}" "${HTTP_TRACESTATE--}"`),
	})
	c := s.Dial()
	ask := func(path string, fields ...string) []string {
		t.Helper()
		c.Send(fapwstest.Get(path, fields...))
		text := c.Answer().Want(t, 200).Text
		found := ours.FindStringSubmatch(text)
		if found == nil || found[2] != found[4] {
			t.Fatalf("%s with %q gets %q", path, fields, text)
		}
		return found
	}
	spans := map[string]bool{"00f067aa0ba902b7": true}
	for _, path := range paths {
		var traces []string
		for range 3 {
			made, goesOn := ask(path), ask(path, theirs, "tracestate: a=b")
			if goesOn[2] != theirTrace || goesOn[5] != "a=b" {
				t.Errorf("%s: %q", path, goesOn)
			}
			replaced := ask(path, theirs+"!", "tracestate: a=b", "X-Behind: 1")
			if replaced[5] != "-" {
				t.Errorf("%s: a tracestate without its traceparent: %q", path, replaced)
			}
			traces = append(traces, made[2], goesOn[2], replaced[2])
			for _, found := range [][]string{made, goesOn, replaced} {
				if spans[found[3]] {
					t.Errorf("%s: the parent-id %s comes again", path, found[3])
				}
				spans[found[3]] = true
			}
		}
		lines := ""
		for _, trace := range traces {
			lines += "line " + trace + "\n"
		}
		fapwstest.FileSays(t, folder+"/access.log", lines)
	}
	for path, status := range map[string]int{"/wsgi/fails": 500, "/gone": 502} {
		c.Send(fapwstest.Get(path, theirs))
		c.Answer().Want(t, status)
		want := regexp.MustCompile(`\[(?:error|warning)\] \[client 127\.0\.0\.1:\d+\] \[trace ` + theirTrace + `\] .*` +
			map[int]string{500: "fails", 502: "nowhere"}[status])
		fapwstest.Eventually(t, path+" is in the error log with its trace", func() bool {
			text, _ := os.ReadFile(folder + "/error.log")
			return want.Match(text)
		})
	}
	// Together with the request's other fields, these fields reach the maximum number of fields.
	fields := []string{"If-None-Match: x"}
	for i := range 98 {
		fields = append(fields, fmt.Sprintf("X-%d: 1", i))
	}
	ask("/cached", fields...)
	if curl, err := exec.LookPath("curl"); err != nil {
		t.Error("no curl: sudo apt-get install curl")
	} else if out, err := exec.Command(curl, "-s", "--http2-prior-knowledge", "-H", theirs, s.URL+"/wsgi").
		Output(); err != nil || !strings.Contains(string(out), theirTrace+" -") {
		t.Errorf("HTTP/2: %v %s", err, out)
	}
}

func TestTraceFieldsAreForwardedWithoutTheSetting(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Traceparent"))
	}))
	t.Cleanup(upstream.Close)
	s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(tracedSite, false, upstream.URL), map[string]string{
		"traced.py": tracedApp,
		"bin/env":   shell(plain),
	})
	s.Ask(fapwstest.Get("/proxy", theirs)).Is(t, strings.TrimPrefix(theirs, "traceparent: "))
	s.Ask(fapwstest.Get("/proxy", "traceparent: x\"y")).Is(t, "x\"y")
	s.Ask(fapwstest.Get("/proxy")).Is(t, "")
	fapwstest.FileSays(t, folder+"/access.log", "line "+theirTrace+"\nline -\nline -\n")
}
