package process_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// exporters sets up Sentry and OpenTelemetry in the module of the application, as their documentation says.
const exporters = `import os, sys
import sentry_sdk
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

collector = sys.argv[1]
sentry_sdk.init(dsn="http://key@%s/1" % collector, auto_session_tracking=False)
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="http://%s/v1/traces" % collector)))
trace.set_tracer_provider(provider)

def exception(environ, start_response):
    try:
        1 / 0
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
    return "reported\n"

def span(environ, start_response):
    with trace.get_tracer("shop").start_as_current_span("order"):
        return "traced\n"

def raises(environ, start_response):
    with trace.get_tracer("shop").start_as_current_span("order"):
        raise ValueError("before the response")

def breaks(environ, start_response):
    yield "first piece\n"
    with trace.get_tracer("shop").start_as_current_span("order"):
        raise ValueError("in the response")

PATHS = [
    ("/exception", exception), ("/span", span), ("/raises", SentryWsgiMiddleware(raises)),
    ("/breaks", SentryWsgiMiddleware(breaks)),
]
`

func TestForkedChildrenSendQueuedDataOfExporters(t *testing.T) {
	t.Parallel()
	packages, err := filepath.Glob(fapwstest.Today(t) + "/lib/python3*/site-packages")
	if err != nil || len(packages) != 1 {
		t.Fatalf("%q, %v", packages, err)
	}
	var exceptions, spans atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/api/1/envelope/":
			exceptions.Add(1)
		case "/v1/traces":
			spans.Add(1)
		}
	}))
	defer collector.Close()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", exporters)
	s := fapwstest.Command{Flags: []string{"--fork"}, Script: script, Complains: true,
		Args: []string{collector.Listener.Addr().String()},
		Env:  []string{"PYTHONPATH=" + packages[0]}}.Serve(t, fapwstest.Threads)
	const n = 6
	for range n {
		s.Get("/exception", 200)
		s.Get("/span", 200)
		s.Get("/raises", 500)
		w := s.Dial()
		w.Get("/breaks")
		if text := w.Rest(); !strings.HasSuffix(text, "first piece\n\r\n") {
			t.Errorf("the response is not aborted: %q", text)
		}
	}
	fapwstest.Eventually(t, "all exceptions and spans have arrived", func() bool {
		return exceptions.Load() == 3*n && spans.Load() == 3*n
	})
	if text := s.Stderr.String(); strings.Contains(text, "has closed its connection") {
		t.Error(text)
	}
}

// Children run the atexit functions of their handler, but not those of the application. If a function does not return,
// the server ends the child and logs its stack.
func TestForkedChildrenRunAtexitFunctionsOfTheirHandler(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	s.Get("/exits", 200)
	fapwstest.Eventually(t, "the function has run", func() bool {
		return slices.Contains(notesIn(folder), "atexit_of_the_handler")
	})
	s.Get("/exits?never", 200)
	s.Says(`exits: +File "[^"]*fork\.py", line \d+ in wait_for`)
	fapwstest.Eventually(t, "the process has ended", func() bool {
		return len(fapwstest.ChildrenOf(t, loaders(s)...)) == 1
	})
	if slices.Contains(notesIn(folder), "atexit_in_child") {
		t.Error("the application's function has run in the process of a request")
	}
}

func TestForkedChildrenMayFinishWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	s.Get("/exits?go", 200)
	s.Signal(syscall.SIGTERM)
	s.Says("info stopping")
	fapwstest.Write(t, filepath.Join(folder, "go"), "")
	s.EndsWith(0)
	if notes := notesIn(folder); !slices.Contains(notes, "atexit_of_the_handler") {
		t.Errorf("notes: %q", notes)
	}
}
