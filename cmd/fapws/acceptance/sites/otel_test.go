package sites_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/otel/oteltest"
)

const spansApp = `
import time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.endswith("/fails"):
        raise ValueError("on purpose")
    status = "404 Not Found" if path.endswith("/missing") else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [environ.get("HTTP_TRACEPARENT", "-").encode()]

def events(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    for i in range(3):
        time.sleep(0.01)
        yield b"data: x\n\n"

async def socket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    text = next(value for name, value in scope["headers"] if name == b"traceparent").decode()
    await send({"type": "websocket.send", "text": text})
    await receive()
`

const spansSite = `otel = true
h2c = true
[[host]]
name = ["shop.example", "www.shop.example"]
default = true
root = "files"
ssi = true
route = [
  { prefix = "/wsgi", app = "spans.py:app" },
  { prefix = "/events", app = "spans.py:events" },
  { prefix = "/socket", app = "spans.py:socket" },
  { prefix = "/proxy", proxy = "%s" },
  { prefix = "/second", proxy = [%q, "%[1]s"] },
  { prefix = "/gone", proxy = "unix:/nowhere.sock" },
]
`

var traceparent = regexp.MustCompile(`00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]`)

func parent(t *testing.T, text string) (trace, span string) {
	t.Helper()
	found := traceparent.FindStringSubmatch(text)
	fapwstest.Needf(t, found != nil, "%q", text)
	return found[1], found[2]
}

// sending returns environment variables that make a server send spans to the collector at url.
func sending(url string, more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + url, "OTEL_BSP_SCHEDULE_DELAY=50"}, more...)
}

func spansServer(t *testing.T, c *oteltest.Collector, m fapwstest.Mode, upstream string,
	env ...string) *fapwstest.Server {
	t.Helper()
	folder := fapwstest.Files(t, map[string]string{"spans.py": spansApp, "files/a.txt": "file",
		"files/page.shtml": `<!--#include virtual="/wsgi/included" -->`})
	// Nothing listens at the second upstream.
	config := fmt.Sprintf(spansSite, upstream, "http://127.0.0.1:"+fapwstest.FreePort(t))
	return fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, folder+"/fapws.toml", config)}, Dir: folder,
		Env: sending(c.URL, env...), Complains: true}.Serve(t, m)
}

func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"-sS"}, args...)...).Output()
	fapwstest.Mustf(t, err, "curl %q", args)
	return string(out)
}

func TestEachRequestHasASpanThatIsTheParentOfItsHandler(t *testing.T) {
	t.Parallel()
	c := oteltest.Collect(t, nil)
	s := spansServer(t, c, fapwstest.Threads, "http://127.0.0.1:1", "OTEL_SERVICE_NAME=shop",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test%20one,service.name=other")
	wants := func(path string, more map[string]string) oteltest.Span {
		t.Helper()
		span := c.Path(path)
		for name, want := range more {
			fapwstest.Equalf(t, span.Attributes[name], want, "%s: %s", path, name)
		}
		return span
	}
	host, port, _ := net.SplitHostPort(s.Address)
	for path, flag := range map[string]string{"/wsgi/one": "--http1.1", "/wsgi/two": "--http2-prior-knowledge"} {
		version := map[string]string{"--http1.1": "1.1", "--http2-prior-knowledge": "2"}[flag]
		text := curl(t, flag, "-A", "curl", "-H", theirs, s.URL+path+"?q=1&sig=secret")
		trace, id := parent(t, text)
		span := wants(path, map[string]string{"http.request.method": "GET", "http.route": "/wsgi", "url.scheme": "http",
			"url.query": "q=1&sig=REDACTED", "http.response.status_code": "200", "server.address": host, "server.port": port,
			"client.address": "127.0.0.1", "network.protocol.version": version, "user_agent.original": "curl", "error.type": ""})
		fapwstest.Truef(t, span.Name == "GET /wsgi" && span.ID == id && span.Trace == trace && trace == theirTrace &&
			span.Parent == "00f067aa0ba902b7" && !span.Failed && span.Flags == 0x301 && time.Since(span.Begin) <= time.Hour &&
			span.Resource["service.name"] == "shop" && span.Resource["deployment.environment.name"] == "test one", "%s: %+v",
			text, span)
	}
	// The span of a request that begins a new trace has no parent.
	trace, id := parent(t, curl(t, s.URL+"/wsgi/new"))
	span := wants("/wsgi/new", nil)
	fapwstest.Truef(t, span.Trace == trace && span.ID == id && span.Parent == "" && span.Flags == 0x101, "%+v", span)
	for path, status := range map[string]int{"/wsgi/fails": 500, "/wsgi/missing": 404, "/a.txt": 200, "/b": 404} {
		s.Get(path+"?x", status)
		span := wants(path, map[string]string{"http.response.status_code": strconv.Itoa(status), "url.query": "x",
			"error.type": map[int]string{500: "500"}[status]})
		fapwstest.Equalf(t, span.Failed, status == 500, "%+v", span)
	}
	// With the flag 00 in traceparent, a client disables the span of its request.
	_, id = parent(t, curl(t, "-H", strings.TrimSuffix(theirs, "1")+"0", s.URL+"/wsgi/unsampled"))
	fapwstest.Truef(t, id != "", "no span id")
	c.Path("/wsgi/one")
	curl(t, "-X", "BREW", s.URL+"/wsgi/brew")
	fapwstest.Equal(t, wants("/wsgi/brew", map[string]string{"http.request.method_original": "BREW"}).Name, "HTTP /wsgi")
	// A client may send bytes that are not UTF-8. The collector must not reject the batch of spans because of them.
	s.Ask("GET /wsgi/%ff?%ff HTTP/1.1\r\nHost: WWW.shop.example:81\r\nUser-Agent: \xe9\r\n\r\n").Want(t, 200)
	wants("/wsgi/%ff", map[string]string{"user_agent.original": "\uFFFD", "url.query": "%ff", "server.port": "81"})
	// A server-side include has no span of its own. Its handler sees the span of the page.
	trace, id = parent(t, s.Get("/page.shtml", 200, theirs).Text)
	span = wants("/page.shtml", nil)
	fapwstest.Truef(t, span.ID == id && span.Trace == trace && trace == theirTrace, "%+v", span)
	s.Get("/events/", 200)
	span = wants("/events/", nil)
	fapwstest.Truef(t, span.End.Sub(span.Begin) >= 30*time.Millisecond, "an event stream of %v", span.End.Sub(span.Begin))
	socket := s.Socket("/socket/one")
	_, id = parent(t, fapwstest.Received(t, socket))
	fapwstest.ResetSocket(socket)
	fapwstest.Equal(t, wants("/socket/one", map[string]string{"http.response.status_code": "101"}).ID, id)
	for _, span := range c.Spans() {
		path := span.Attributes["url.path"]
		fapwstest.Truef(t, path != "/wsgi/unsampled" && path != "/wsgi/included", "%+v", span)
	}
	decodesWithPython(t, c)
}

func decodesWithPython(t *testing.T, c *oteltest.Collector) {
	t.Helper()
	bodies, _ := c.Bodies()
	dir, want := t.TempDir(), ""
	for i, body := range bodies {
		fapwstest.Must(t, os.WriteFile(fmt.Sprintf("%s/%04d", dir, i), body, 0o600))
	}
	for _, span := range c.Spans() {
		want += fmt.Sprintf("%s %s %d\n", span.Name, span.ID, len(span.Attributes))
	}
	out, err := exec.Command(fapwstest.Today(t)+"/bin/python", "-c", `
import os, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
os.chdir(sys.argv[1])
for name in sorted(os.listdir()):
    for resource in ExportTraceServiceRequest.FromString(open(name, "rb").read()).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                print(span.name, span.span_id.hex(), len(span.attributes))
`, dir).CombinedOutput()
	fapwstest.Truef(t, err == nil && string(out) == want, "%v: %s, want %s", err, out, want)
}

// The traceparent for the upstream names the CLIENT span. The parent of the CLIENT span is the SERVER span.
func TestRequestToAnUpstreamHasASpanOfItsOwn(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/unavailable") {
			w.WriteHeader(503)
		}
		fmt.Fprint(w, r.Header["Traceparent"])
	})
	c := oteltest.Collect(t, nil)
	s := spansServer(t, c, fapwstest.Threads, upstream.URL)
	host, port, _ := net.SplitHostPort(upstream.Listener.Addr().String())
	calls := func(n int, url string) []oteltest.Span {
		t.Helper()
		return c.Await(n, url, func(s *oteltest.Span) bool {
			return s.Kind == "CLIENT" && strings.HasSuffix(s.Attributes["url.full"], url)
		})
	}
	for path, flag := range map[string]string{"/proxy/one": "--http1.1", "/proxy/two": "--http2-prior-knowledge"} {
		text := curl(t, flag, "-H", theirs, s.URL+path+"?sig=secret")
		trace, id := parent(t, text)
		span, server := calls(1, upstream.URL+path+"?sig=REDACTED")[0], c.Path(path)
		fapwstest.Truef(t, span.ID == id && span.Trace == trace && span.Parent == server.ID && server.Trace == trace &&
			span.Name == "GET" && trace == theirTrace && span.Attributes["server.address"] == host &&
			span.Attributes["server.port"] == port && span.Attributes["http.response.status_code"] == "200" &&
			span.Attributes["http.request.resend_count"] == "" && !span.Begin.Before(server.Begin) && !span.Failed &&
			strings.Count(text, "00-") == 1 && span.Flags == 0x101, "%s: %+v, %+v", text, span, server)
	}
	s.Get("/proxy/unavailable", 503)
	span := calls(1, "/proxy/unavailable")[0]
	fapwstest.Truef(t, span.Failed && span.Attributes["error.type"] == "503", "%+v", span)
	s.Get("/gone/a", 502)
	if span := calls(1, "/gone/a")[0]; !span.Failed || span.Attributes["error.type"] != "connect" || span.Why == "" ||
		span.Attributes["server.address"] != "/nowhere.sock" || span.Attributes["http.response.status_code"] != "" {
		t.Errorf("%+v", span)
	}
	// One of the two upstreams refuses connections. Repeat the request until the server chooses this upstream first.
	for i := 0; ; i++ {
		path := fmt.Sprintf("/second/%d", i)
		_, id := parent(t, s.Get(path, 200).Text)
		c.Path(path)
		all := c.Await(1, path, func(s *oteltest.Span) bool { return s.ID == id })
		if all[0].Attributes["http.request.resend_count"] != "1" {
			continue
		}
		all = calls(2, path)
		fapwstest.Truef(t, all[0].Attributes["error.type"] == "connect" && all[0].ID != id && all[1].ID == id &&
			all[0].Parent == all[1].Parent, "%+v", all)
		break
	}
}

func TestSamplerSetsTheFlagThatTheHandlerSees(t *testing.T) {
	t.Parallel()
	c := oteltest.Collect(t, nil)
	for sampler, want := range map[string]string{"parentbased_traceidratio": "00 01", "always_off": "00 00"} {
		s := spansServer(t, c, fapwstest.Threads, "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER="+sampler,
			"OTEL_TRACES_SAMPLER_ARG=0")
		made, given := s.Get("/wsgi/made", 200).Text, s.Get("/wsgi/"+sampler, 200, theirs).Text
		fapwstest.Equalf(t, made[len(made)-2:]+" "+given[len(given)-2:], want, "%s", sampler)
		if strings.HasPrefix(sampler, "parentbased") {
			c.Path("/wsgi/" + sampler)
		}
	}
	for _, span := range c.Spans() {
		fapwstest.Truef(t, strings.HasPrefix(span.Attributes["url.path"], "/wsgi/parentbased"), "%+v", span)
	}
}

func TestSpansAreSentBeforeAProcessEnds(t *testing.T) {
	t.Parallel()
	for _, flags := range []string{"--workers 2", "--fork", "--threads 0", "--sandbox"} {
		c := oteltest.Collect(t, nil)
		folder := fapwstest.PublicFolder(t)
		command := fapwstest.Command{Script: fapwstest.Write(t, folder+"/spans.py", spansApp+"PATHS = [('/wsgi', app)]\n"),
			Flags: append(strings.Fields(flags), "--otel"), Complains: true,
			Env: append(sending(c.URL), "OTEL_BSP_SCHEDULE_DELAY=3600000")}
		if os.Geteuid() == 0 && flags == "--sandbox" {
			command.Flags = append(command.Flags, "--user", "daemon")
			command = command.ForOtherUsers(t)
		}
		s := command.Serve(t, fapwstest.Mode{})
		_, id := parent(t, s.Get("/wsgi/a", 200).Text)
		if flags == "--workers 2" {
			s.Reload()
			fapwstest.Equal(t, c.Path("/wsgi/a").ID, id)
			_, id = parent(t, s.Get("/wsgi/b", 200).Text)
		}
		s.Stop()
		spans := c.Spans()
		fapwstest.Truef(t, len(spans) != 0 && spans[len(spans)-1].ID == id && spans[len(spans)-1].Name == "GET /wsgi",
			"%s: %+v", flags, spans)
	}
}

func TestServerWorksWithoutItsCollector(t *testing.T) {
	t.Parallel()
	silent := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	defer silent.Close()
	refusing := "http://127.0.0.1:" + fapwstest.FreePort(t)
	script := fapwstest.Write(t, t.TempDir()+"/spans.py", spansApp+"PATHS = [('/wsgi', app)]\n")
	for _, url := range []string{refusing, "http://" + silent.Addr().String()} {
		s := fapwstest.Command{Script: script, Flags: []string{"--otel", "--graceful-timeout", "1s"},
			Env: append(sending(url), "OTEL_EXPORTER_OTLP_TIMEOUT=20", "OTEL_BSP_EXPORT_TIMEOUT=20",
				"OTEL_EXPORTER_OTLP_HEADERS=api-key=secret")}.Serve(t, fapwstest.Threads)
		for i := range 20 {
			s.Get(fmt.Sprintf("/wsgi/%d", i), 200)
		}
		s.Says(`warning otel: cannot send all spans to ` + regexp.QuoteMeta(url) + `/v1/traces: .*(refused|no answer)`)
		fapwstest.Eventually(t, "all spans are dropped", func() bool {
			return strings.Contains(s.Control("metrics"), "\nfapws_otel_spans_dropped_total 20\n")
		})
		s.Get("/wsgi/last", 200)
		s.Stop()
		n := strings.Count(s.Stderr.String(), "otel:")
		fapwstest.Truef(t, n == 1 && !strings.Contains(s.Stderr.String(), "secret"), "%d lines: %s", n, s.Stderr)
	}
	// If the collector does not answer, it delays a graceful stop by some seconds, regardless of --graceful-timeout. It
	// delays neither a quick stop nor atexit functions.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		s := fapwstest.Command{Script: script, Flags: []string{"--otel", "--graceful-timeout", "1h"},
			Env: append(sending("http://"+silent.Addr().String()), "OTEL_EXPORTER_OTLP_TIMEOUT=3600000",
				"OTEL_BSP_EXPORT_TIMEOUT=3600000")}.Serve(t, fapwstest.Threads)
		s.Get("/wsgi/a", 200)
		s.Signal(sig)
		s.EndsWith(0)
	}
}

// Without --otel, only an SDK in the application uses the OTEL_ variables.
func TestVariablesOfOpenTelemetryAloneChangeNothing(t *testing.T) {
	t.Parallel()
	c := oteltest.Collect(t, nil)
	script := fapwstest.Write(t, t.TempDir()+"/spans.py", spansApp+"PATHS = [('/wsgi', app)]\n")
	for _, command := range []fapwstest.Command{
		{Env: sending(c.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")},
		{Env: sending(c.URL, "OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), Flags: []string{"--otel"}},
	} {
		command.Script = script
		s := command.Serve(t, fapwstest.Threads)
		fapwstest.Equalf(t, s.Get("/wsgi/a", 200).Text == "-", command.Flags == nil, "%q", command.Env)
		s.Stop()
	}
	fapwstest.Equalf(t, c.Requests(), 0, "requests")
}

func TestWrongVariablesOfOpenTelemetryAreFoundByStartAndCheck(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/spans.py", spansApp+"PATHS = [('/wsgi', app)]\n")
	const want = "OTEL_EXPORTER_OTLP_PROTOCOL=grpc in the environment: must be http/protobuf, the protocol of port 4318"
	for _, flags := range [][]string{{"--otel", script}, {"check", "--otel", "--bind", "127.0.0.1:0", script},
		{"--otel", "--workers", "1", script}, {"check", "--otel", folder}, {"--otel", "--bind", "127.0.0.1:0", folder}} {
		code, _, stderr := fapwstest.Command{Flags: flags, Env: []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}}.Run(t)
		fapwstest.Truef(t, (code == 2 || code == 1) && strings.Count(stderr, "OTEL_") == 1 && strings.Contains(stderr, want),
			"%q: code %d, %s", flags, code, stderr)
	}
	// The check also reads variables from --env-file. A collector's name that DNS does not know is only a warning,
	// because DNS may know the name later.
	file := fapwstest.Write(t, folder+"/env", "OTEL_BSP_SCHEDULE_DELAY=soon\n")
	fapwstest.Command{Flags: []string{"check", "--otel", "--bind", "127.0.0.1:0", "--env-file", file},
		Script: script}.Fails(t, 2, "=soon")
	code, _, stderr := fapwstest.Command{Flags: []string{"check", "--otel", "--bind", "127.0.0.1:0"}, Script: script,
		Env: sending("http://collector.invalid:4318")}.Run(t)
	fapwstest.Truef(t, code == 0 && strings.Contains(stderr,
		"otel: the address of the collector collector.invalid is not known"), "code %d, %s", code, stderr)
}
