package python_test

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/otel/oteltest"
)

// Background tasks and the cleanup of dependencies run, as after a complete response.
func TestTodaysFrameworksEndStreamsWithTheirClientOrTheServer(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/today.py:app", Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)},
		Flags: []string{"--graceful-timeout", "1h"}}.Serve(t, fapwstest.Threads)
	for _, test := range []struct{ path, want string }{
		{"/starlette/waits", "ended background"},
		{"/starlette/produces", "ended background"},
		{"/starlette/spins", "ended background"},
		{"/starlette/late", "ended background"},
		{"/middleware/waits", "ended background"},
		{"/middleware/produces", "ended background"},
		{"/fastapi/waits", "ended background dependency"},
		{"/fastapi/produces", "ended background dependency"},
		{"/fastapi/events", "ended background dependency"},
		{"/sse/events", "ended background"},
		{"/litestar/waits", "ended background"},
		{"/litestar/produces", "ended background"},
		{"/litestar/events", "ended background"},
		{"/quart/waits", "ended"},
		{"/quart/produces", "ended"},
		{"/django/waits", "ended"},
		{"/django/produces", "ended"},
	} {
		const clients = 3
		ws := s.DialMany(clients, fapwstest.Get(test.path))
		happened := func(words ...string) func() bool {
			return func() bool {
				noted := s.Get("/noted"+test.path, 200).Text
				return !slices.ContainsFunc(words, func(word string) bool { return strings.Count(noted, `"`+word+`"`) < clients })
			}
		}
		fapwstest.Eventually(t, test.path+" begins", happened("began"))
		for _, w := range ws {
			w.Reset()
		}
		fapwstest.Eventually(t, test.path+": "+test.want, happened(strings.Fields(test.want)...))
		noted := s.Get("/noted"+test.path, 200).Text
		fapwstest.Truef(t, !strings.Contains(noted, " got "), "%s: %s", test.path, noted)
	}
	before := s.Stdout.String()
	paths := strings.Fields("/starlette/events /middleware/events /fastapi/events /sse/events /litestar/events " +
		"/quart/events /django/events")
	for _, path := range paths {
		s.DialGet(path).Head("GET")
	}
	s.Stop()
	said := strings.TrimPrefix(s.Stdout.String(), before)
	for i, path := range paths {
		fapwstest.Truef(t, strings.Contains(said, path[1:]+" ended") &&
			(i >= 5 || strings.Contains(said, path[1:]+" background")), "%s did not end: %s", path, said)
	}
	fapwstest.Has(t, said, "fastapi/events dependency\n")
	fapwstest.Lacks(t, said, " got ")
}

// When a stop or a reload begins, the server itself ends all event streams, because their clients reconnect. Other
// responses, and all responses to POST, are sent completely.
func TestEventStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		mode  fapwstest.Mode
		ends  syscall.Signal
		paths string
	}{
		{"stop", fapwstest.Threads, syscall.SIGTERM, "/waits /ignores /cleans /yields /wsgi"},
		{"inline", fapwstest.Inline, syscall.SIGTERM, "/waits /yields"},
		{"reload", fapwstest.Mode{Flags: []string{"--workers", "1"}}, syscall.SIGHUP,
			"/waits /ignores /cleans /yields /wsgi"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := t.TempDir() + "/go on"
			c := fapwstest.Command{Script: "asgi/endless.py", Env: []string{"GO_ON=" + file},
				Flags: []string{"--graceful-timeout", "1h"}}
			s := c.Serve(t, test.mode)
			streams := map[string]io.Reader{}
			for _, path := range strings.Fields(test.paths) {
				streams[path] = s.DialGet(path).Head("GET").Body
			}
			download, answer := s.Dial(), s.Dial()
			download.Get("/finishes")
			answer.Send(fapwstest.Request("POST", "/finishes", ""))
			bodies := []io.Reader{download.Head("GET").Body, answer.Head("POST").Body}
			s.Signal(test.ends)
			for path, body := range streams {
				_, err := io.ReadAll(body)
				fapwstest.Truef(t, err == nil, "%s: %v, want its end", path, err)
				s.Stdout.Await(t, regexp.MustCompile(path[1:]+" ended"))
			}
			fapwstest.Write(t, file, "")
			for _, body := range bodies {
				text, err := io.ReadAll(body)
				fapwstest.Truef(t, err == nil && strings.HasSuffix(string(text), "data: last\n\n"), "%q, %v", text, err)
			}
			if test.ends == syscall.SIGTERM {
				s.EndsWith(0)
			}
		})
	}
}

// Django does not serve static files without --dev, DEBUG, or the app staticfiles.
func TestDjangoServesItsStaticFilesWithDev(t *testing.T) {
	t.Parallel()
	venv := fapwstest.Today(t)
	script := fapwstest.Write(t, t.TempDir()+"/site.py", `
import os

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(
    DEBUG=os.environ["DEBUG"] == "1", SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, STATIC_URL="files/",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages",
        "django.contrib.sessions",
    ] + os.environ["MORE"].split(),
)
urlpatterns = [path("", lambda request: HttpResponse("home"))]

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()
asgi = get_asgi_application()

async def router(scope, receive, send):
    await asgi(scope, receive, send)
`)
	for _, c := range []struct {
		object, debug, apps, flag string
		status                    int
	}{
		{"wsgi", "1", "django.contrib.staticfiles", "--dev", 200},
		{"router", "1", "django.contrib.staticfiles", "--dev", 200},
		{"wsgi", "1", "django.contrib.staticfiles", "--reload", 404},
		{"wsgi", "0", "django.contrib.staticfiles", "--dev", 404},
		{"wsgi", "1", "", "--dev", 404},
	} {
		s := fapwstest.Command{Script: script + ":" + c.object, Env: []string{"VIRTUAL_ENV=" + venv, "DEBUG=" + c.debug,
			"MORE=" + c.apps}, Flags: []string{c.flag}}.
			Serve(t, fapwstest.Threads)
		s.Get("/", 200).Is(t, "home")
		s.Get("/files/admin/css/base.css", c.status)
	}
}

const instrumented = `from flask import Flask
from opentelemetry import trace

app = Flask(__name__)

@app.get("/order/<int:number>")
def order(number):
    span = trace.get_current_span().get_span_context()
    return "%032x %016x" % (span.trace_id, span.span_id)
`

// opentelemetry-instrument starts the SDK in each Python process, by a module sitecustomize. The start script of a
// wheel is a Python process, but fapws replaces this process by exec, so its SDK sends nothing.
func TestSpanOfAnInstrumentedFrameworkIsAChildOfTheSpanOfTheServer(t *testing.T) {
	t.Parallel()
	venv := fapwstest.Today(t)
	packages, err := filepath.Glob(venv + "/lib/python3*/site-packages")
	fapwstest.Needf(t, err == nil && len(packages) == 1, "%q, %v", packages, err)
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/app.py", instrumented)
	launcher := fapwstest.Write(t, folder+"/launcher.py", `import os, sys
from opentelemetry import trace
assert type(trace.get_tracer_provider()).__module__.startswith("opentelemetry.sdk"), "the SDK has not started"
os.execv(sys.argv[1], sys.argv[1:])
`)
	program := fapwstest.WriteProgram(t, folder+"/start", fmt.Sprintf("#!/bin/sh\nexec '%s/bin/python' "+
		"'%[1]s/bin/opentelemetry-instrument' '%[1]s/bin/python' '%s' '%s' \"$@\"\n", venv, launcher, fapwstest.Binary(t)))
	for _, flags := range [][]string{{"--otel", "--workers", "2"}, {"--otel", "--fork"}} {
		c := oteltest.Collect(t, nil)
		s := fapwstest.Command{Program: program, Script: script, Flags: flags,
			Env: []string{"PYTHONPATH=" + packages[0], "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL,
				"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none",
				"OTEL_SERVICE_NAME=shop", "OTEL_BSP_SCHEDULE_DELAY=100"}}.Serve(t, fapwstest.Threads)
		text := s.Get("/order/7", 200).Text
		server := c.Path("/order/7")
		fapwstest.Truef(t, server.Resource["telemetry.sdk.name"] == "fapws" && server.Resource["service.name"] == "shop",
			"%+v", server)
		fapwstest.Truef(t, strings.HasPrefix(text, server.Trace), "%s: %+v", text, server)
		if slices.Contains(flags, "--fork") {
			continue // The process of the request may end before the SDK sends its span.
		}
		child := c.Await(1, "the framework", func(s *oteltest.Span) bool { return s.Parent == server.ID })[0]
		fapwstest.Truef(t, child.Trace+" "+child.ID == text && child.Trace == server.Trace && child.Kind == "SERVER" &&
			child.Resource["telemetry.sdk.language"] == "python" && child.Resource["service.name"] == "shop", "%s: %+v", text,
			child)
		s.Stop()
		fapwstest.Equalf(t, len(c.Spans()), 2, "%q: spans: %+v", flags, c.Spans())
	}
}
