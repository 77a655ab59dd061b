package sites_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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

// everySource is a configuration with routes to each kind of source. Its arguments are the lines at the top, and the
// address of an upstream.
const everySource = `h2c = true
access-log = "access.log"
%s
[[host]]
error-log = "error.log"
route = [
  { prefix = "/wsgi", app = "app.py:app" },
  { prefix = "/asgi", app = "app.py:asgi" },
  { prefix = "/cached", app = "app.py:app", cache = "60s" },
  { prefix = "/proxy", proxy = "%s" },
  { prefix = "/gone", proxy = "unix:/nowhere.sock" },
  { prefix = "/cgi/", cgi = "bin" },
]
`

const (
	logsTraces = "access-log-format = 'line %{fapws.trace_id}e'"
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirs     = "traceparent: 00-" + theirTrace + "-00f067aa0ba902b7-01"
)

var ours = regexp.MustCompile(`^(00-([0-9a-f]{32})-([0-9a-f]{16})-01) ([0-9a-f]{32}) (\S+)$`)

func TestSourceGetsTheTraceOfTheClientOrANewTrace(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		parent := r.Header["Traceparent"]
		state := append(r.Header["Tracestate"], "-")[0]
		if len(parent) != 1 {
			parent = []string{fmt.Sprint(parent)}
		}
		fmt.Fprintf(w, "%s %s %s", parent[0], strings.Split(parent[0], "-")[1], state)
	})
	paths := []string{"/wsgi", "/proxy", "/cgi/env", "/asgi"}
	config := fmt.Sprintf(everySource, "trace = true\n"+logsTraces, upstream.URL)
	s, folder := configured(t, fapwstest.Threads, config, map[string]string{
		"app.py": tracedApp,
		"bin/env": shell(plain,
			`id=${HTTP_TRACEPARENT#*-}; printf '%s %s %s' "$HTTP_TRACEPARENT" "${id%%-*}" "${HTTP_TRACESTATE--}"`),
	})
	c := s.Dial()
	ask := func(path string, fields ...string) []string {
		t.Helper()
		text := c.Fetch(path, fields...).Want(t, 200).Text
		found := ours.FindStringSubmatch(text)
		fapwstest.Needf(t, found != nil && found[2] == found[4], "%s with %q gets %q", path, fields, text)
		return found
	}
	spans := map[string]bool{"00f067aa0ba902b7": true}
	for _, path := range paths {
		var traces []string
		for range 3 {
			made, goesOn := ask(path), ask(path, theirs, "tracestate: a=b")
			fapwstest.Truef(t, goesOn[2] == theirTrace && goesOn[5] == "a=b", "%s: %q", path, goesOn)
			replaced := ask(path, theirs+"!", "tracestate: a=b", "X-Behind: 1")
			fapwstest.Equalf(t, replaced[5], "-", "%s: a tracestate without its traceparent: %q", path, replaced)
			traces = append(traces, made[2], goesOn[2], replaced[2])
			for _, found := range [][]string{made, goesOn, replaced} {
				fapwstest.Truef(t, !spans[found[3]], "%s: the parent-id %s comes again", path, found[3])
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
		c.Fetch(path, theirs).Want(t, status)
		fapwstest.FileMatches(t, folder+"/error.log", `\[(?:error|warning)\] \[client 127\.0\.0\.1:\d+\] \[request \w+\] \[trace `+
			theirTrace+`\] .*`+map[int]string{500: "fails", 502: `nowhere.* \(GET \S+/gone\)`}[status])
	}
	// Together with the request's other fields, these fields reach the maximum number of fields.
	fields := []string{"If-None-Match: x"}
	for i := range 98 {
		fields = append(fields, fmt.Sprintf("X-%d: 1", i))
	}
	ask("/cached", fields...)
	out := curl(t, "--http2-prior-knowledge", "-H", theirs, s.URL+"/wsgi")
	fapwstest.Truef(t, strings.Contains(out, theirTrace+" -"), "HTTP/2: %s", out)
}

func TestTraceFieldsAreForwardedWithoutTheSetting(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Traceparent"))
	})
	s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(everySource, logsTraces, upstream.URL), map[string]string{
		"app.py":  tracedApp,
		"bin/env": shell(plain),
	})
	s.Ask(fapwstest.Get("/proxy", theirs)).Is(t, strings.TrimPrefix(theirs, "traceparent: "))
	s.Ask(fapwstest.Get("/proxy", "traceparent: x\"y")).Is(t, "x\"y")
	s.Ask(fapwstest.Get("/proxy")).Is(t, "")
	fapwstest.FileSays(t, folder+"/access.log", "line "+theirTrace+"\nline -\nline -\n")
}

func TestFailedRequestHasAnIDWithoutTheSetting(t *testing.T) {
	t.Parallel()
	s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(everySource, "", "http://127.0.0.1:1"), map[string]string{
		"app.py":   tracedApp,
		"bin/fail": shell("exit 1"),
	})
	for path, status := range map[string]int{"/wsgi/fails": 500, "/cached/fails": 500, "/asgi": 500, "/proxy": 502,
		"/gone": 502, "/cgi/fail": 502} {
		a := s.Dial().Fetch(path, "Accept: text/html").Want(t, status)
		found := regexp.MustCompile(`>Request (\w+), `).FindStringSubmatch(a.Text)
		fapwstest.Needf(t, found != nil && len(found[1]) == 8, "%s: %s", path, a.Text)
		fapwstest.Equalf(t, a.Header.Get("X-Request-Id"), "", "%s: the field", path)
		fapwstest.FileMatches(t, folder+"/error.log", `\[client 127\.0\.0\.1:\d+\] \[request `+found[1]+`\] `)
	}
}

const identifiedApp = `
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    fields = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] == "/sets":
        fields.append(("X-Request-ID", "mine"))
    if environ["PATH_INFO"] == "/echoes":
        fields.append(("X-Request-ID", environ["fapws.request_id"]))
    start_response("200 OK", fields)
    return [" ".join(environ.get(key, "-") for key in ("HTTP_X_REQUEST_ID", "fapws.request_id")).encode()]

async def asgi(scope, receive, send):
    if scope["path"] == "/asgi/fails":
        raise ValueError("on purpose")
    fields = [value.decode() for name, value in scope["headers"] if name == b"x-request-id"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": " ".join([*fields, scope["fapws.request_id"]]).encode()})

PATHS = [("/", app)]
`

const (
	theirID   = "Ab0._~:/+=-"
	sendsID   = "X-Request-ID: " + theirID
	sendsFake = "X-Request-ID: fake"
)

var madeID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func identified(t *testing.T, proxies string, trace bool) (s *fapwstest.Server, folder string) {
	t.Helper()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		ids := r.Header.Values("X-Request-Id")
		io.WriteString(w, strings.Join(append(ids, ids...), " "))
	})
	top := fmt.Sprintf("request-id = true\naccess-log-format = \"json\"\ntrace = %v\nforwarded-allow-ips = %q", trace,
		proxies)
	return configured(t, fapwstest.Threads, fmt.Sprintf(everySource, top, upstream.URL), map[string]string{
		"app.py":  identifiedApp,
		"bin/env": shell(plain, `printf '%s %s' "$HTTP_X_REQUEST_ID" "$HTTP_X_REQUEST_ID"`),
	})
}

// idOf returns the id that a handler has written twice.
func idOf(t *testing.T, text string) string {
	t.Helper()
	first, second, _ := strings.Cut(text, " ")
	fapwstest.Needf(t, first == second, "the handler gets %q", text)
	return first
}

func TestRequestIDOfATrustedProxyReachesTheSourceAndTheClient(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		proxies := map[bool]string{true: "127.0.0.1", false: "192.0.2.1"}[trusted]
		s, folder := identified(t, proxies, false)
		c, seen := s.Dial(), map[string]bool{}
		ask := func(path string, fields ...string) (id string) {
			t.Helper()
			a := c.Fetch(path, fields...).Want(t, 200)
			id = idOf(t, a.Text)
			a.Field(t, "X-Request-Id", id)
			return id
		}
		for _, path := range []string{"/wsgi", "/asgi", "/proxy", "/cgi/env"} {
			fapwstest.Equalf(t, ask(path, sendsID, "X-Behind: 1") == theirID, trusted, "%s: the id of the proxy", path)
			for _, fields := range [][]string{{}, {sendsFake, sendsFake}, {"X-Request-ID: a b"}, {"X-Request-ID: "},
				{"X-Request-ID: " + strings.Repeat("a", 129)}, {`X-Request-ID: "`}, {"X_Request_ID: fake"}} {
				id := ask(path, fields...)
				fapwstest.Truef(t, madeID.MatchString(id) && !seen[id], "%s with %q: %q", path, fields, id)
				seen[id] = true
				fapwstest.FileSays(t, folder+"/access.log", fmt.Sprintf(`"request_id":"%s"}`, id))
			}
		}
		fapwstest.Equalf(t, strings.Contains(curl(t, "-i", "--http2-prior-knowledge", "-H", sendsID, s.URL+"/wsgi"),
			"x-request-id: "+theirID+"\r"), trusted, "HTTP/2")
		for path, status := range map[string]int{"/wsgi/fails": 500, "/asgi/fails": 500, "/gone": 502} {
			id := c.Fetch(path, sendsID).Want(t, status).Header.Get("X-Request-Id")
			fapwstest.Equalf(t, id == theirID, trusted, "%s: the id of the proxy", path)
			fapwstest.FileMatches(t, folder+"/error.log", `\[(?:error|warning)\] \[client 127\.0\.0\.1:\d+\] \[request `+
				regexp.QuoteMeta(id)+`\] .*`+map[int]string{500: "fails", 502: "nowhere"}[status])
		}
	}
}

func TestRequestIDOfAResponseIsNotCached(t *testing.T) {
	t.Parallel()
	s, _ := identified(t, "127.0.0.1", false)
	c := s.Dial()
	for _, id := range []string{"one", "two"} {
		c.Fetch("/cached", "X-Request-ID: "+id).Is(t, "one one").Field(t, "X-Request-Id", id)
		c.Fetch("/cached/echoes", "X-Request-ID: "+id).Is(t, "one one").Field(t, "X-Request-Id", id)
	}
	c.Fetch("/wsgi/sets", "X-Request-ID: theirs").Is(t, "theirs theirs").Field(t, "X-Request-Id", "mine")
}

func TestRequestIDIsTheTraceThatTheServerBegins(t *testing.T) {
	t.Parallel()
	s, folder := identified(t, "", true)
	c := s.Dial()
	for _, begins := range []bool{true, false} {
		fields := []string{}
		if !begins {
			fields = append(fields, theirs)
		}
		id := idOf(t, c.Fetch("/wsgi", fields...).Want(t, 200).Text)
		trace := id
		if !begins {
			trace = theirTrace
		}
		fapwstest.Truef(t, madeID.MatchString(id) && id != theirTrace, "%q", id)
		fapwstest.FileSays(t, folder+"/access.log", fmt.Sprintf(`"trace_id":"%s","request_id":"%s"}`, trace, id))
	}
	id := c.Fetch("/wsgi/fails", theirs).Want(t, 500).Header.Get("X-Request-Id")
	fapwstest.FileSays(t, folder+"/error.log", "] [request "+id+"] [trace "+theirTrace+"] error in")
}

func TestEveryModeGivesRequestsAnID(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		script := fapwstest.Write(t, t.TempDir()+"/identified.py", identifiedApp)
		s := fapwstest.Serve(t, m, script, "--request-id", "--forwarded-allow-ips", "127.0.0.1")
		c := s.Dial()
		for range 3 {
			c.Fetch("/", sendsID).Is(t, theirID+" "+theirID).Field(t, "X-Request-Id", theirID)
			id := idOf(t, c.Fetch("/").Want(t, 200).Text)
			fapwstest.Truef(t, madeID.MatchString(id), "%q", id)
		}
		c.Fetch("/fails", sendsID).Want(t, 500).Field(t, "X-Request-Id", theirID)
		s.Complains = true
		s.Says(`request ` + regexp.QuoteMeta(theirID) + `: .*fails`)
	})
}

func TestRequestIDIsAnOrdinaryFieldWithoutTheSetting(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/identified.py", identifiedApp)
	s := fapwstest.Serve(t, fapwstest.Threads, script, "--access-log", folder+"/access.log", "--access-log-format", "json")
	s.Ask(fapwstest.Get("/", sendsID)).Is(t, theirID+" -").Field(t, "X-Request-Id", "")
	var line struct {
		ID *string `json:"request_id"`
	}
	fapwstest.FileSays(t, folder+"/access.log", "}\n")
	fapwstest.Must(t, json.Unmarshal([]byte(fapwstest.Read(t, folder+"/access.log")), &line))
	fapwstest.Equal(t, line.ID, nil)
}
