package python_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/otel/oteltest"
)

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
	if err != nil || len(packages) != 1 {
		t.Fatalf("%q, %v", packages, err)
	}
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
		if server.Resource["telemetry.sdk.name"] != "fapws" || server.Resource["service.name"] != "shop" {
			t.Errorf("%+v", server)
		}
		if !strings.HasPrefix(text, server.Trace) {
			t.Errorf("%s: %+v", text, server)
		}
		if slices.Contains(flags, "--fork") {
			continue // The process of the request may end before the SDK sends its span.
		}
		child := c.Await(1, "the framework", func(s *oteltest.Span) bool { return s.Parent == server.ID })[0]
		if child.Trace+" "+child.ID != text || child.Trace != server.Trace || child.Kind != "SERVER" ||
			child.Resource["telemetry.sdk.language"] != "python" || child.Resource["service.name"] != "shop" {
			t.Errorf("%s: %+v", text, child)
		}
		s.Stop()
		if n := len(c.Spans()); n != 2 {
			t.Errorf("%q: %d spans: %+v", flags, n, c.Spans())
		}
	}
}
