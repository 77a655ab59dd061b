package otel_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/otel"
	"fapws/runtime/otel/oteltest"
)

func lookup(variables ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, one := range variables {
			if key, value, _ := strings.Cut(one, "="); key == name {
				return value, true
			}
		}
		return "", false
	}
}

// Each line names the variable, what is wrong and what is right. A secret is not repeated.
func TestWrongVariableIsReportedInALine(t *testing.T) {
	lines := []string{"OTEL_SDK_DISABLED=a\nb", `OTEL_SDK_DISABLED=a\nb in the environment: must be false or true`}
	for _, tt := range append(checktest.Cases(t, "testdata/wrong.txt", 2), lines) {
		_, err := otel.Read(lookup(tt[0]))
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), tt[1]) && !strings.ContainsAny(err.Error(), "\n") &&
			!strings.Contains(err.Error(), "secret"), "%s: %v", tt[0], err)
	}
	_, err := otel.Read(lookup("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=NaN",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://x", "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere"))
	checktest.Truef(t, err != nil && strings.Count(err.Error(), "\n") == 1 &&
		strings.Contains(err.Error(), "from 0 to 1") &&
		strings.Contains(err.Error(), "/nowhere in the environment: no such file"), "%v", err)
}

func TestVariablesThatDisableTracesAndForeignOnesAreNoMistakes(t *testing.T) {
	for _, variable := range []string{"OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=none"} {
		c, err := otel.Read(lookup(variable, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"))
		checktest.Truef(t, c == nil && err == nil, "%s: %v, %v", variable, c, err)
	}
	c, err := otel.Read(lookup("OTEL_PYTHON_LOG_CORRELATION=x", "OTEL_METRICS_EXPORTER=x", "OTEL_TRACES_SAMPLER=",
		"OTEL_PROPAGATORS=tracecontext, baggage", "OTEL_TRACES_EXPORTER=console,otlp"))
	checktest.Truef(t, err == nil && c.URL.String() == "http://localhost:4318/v1/traces" && c.Port == 4318,
		"%+v, %v", c, err)
	for variable, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://x/base/":      "https://x/base/v1/traces",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x:1/as": "http://x:1/as",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x":      "http://x/",
	} {
		c, err := otel.Read(lookup(variable))
		checktest.Truef(t, err == nil && c.URL.String() == want, "%s: %v, %v", variable, c, err)
	}
}

// start starts an exporter, which sends spans to a collector and log lines to lines.
func start(t *testing.T, url string, variables ...string) (x *otel.Exporter, lines *atomic.Int64) {
	t.Helper()
	c := checktest.Try(otel.Read(lookup(append(variables, "OTEL_EXPORTER_OTLP_ENDPOINT="+url)...))).Must(t)
	lines = new(atomic.Int64)
	x = otel.New(c, "1.2", func(line string) {
		lines.Add(1)
		checktest.Truef(t, !strings.Contains(line, "\n") && strings.Contains(line, "fapws_otel_spans_dropped_total"),
			"%q", line)
	})
	t.Cleanup(func() { x.Close(time.Now()) })
	return x, lines
}

func entry(line string) *logfile.Entry {
	id, _ := http1.ParseTraceparent([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	id.Span = http1.SpanID{1, 2}
	return &logfile.Entry{RequestLine: []byte(line), Status: 200, Time: time.Now(), Duration: time.Second,
		Trace: &logfile.Trace{ID: id}}
}

func later() time.Time { return time.Now().Add(checktest.Patience) }

// The exporter redacts the parameters that sign a URL, even if their names are percent-encoded.
func TestTextsOfClientsAreRedactedAndValid(t *testing.T) {
	c := oteltest.Collect(t, nil)
	lines := [][]string{
		{"GET /f\xff HTTP/1.0", "/f\uFFFD", "url.path"},
		{"GET /" + strings.Repeat("l", 5000) + " HTTP/1.1", "/" + strings.Repeat("l", 2047), "url.path"},
		{"GET /" + strings.Repeat("é", 5000) + " HTTP/1.1", "/" + strings.Repeat("é", 1023) + "\uFFFD", "url.path"},
	}
	for _, tt := range append(checktest.Cases(t, "testdata/texts.txt", 3), lines...) {
		e := entry(tt[0])
		e.Trace.Agent, e.Trace.Host = []byte("a\xffb"), []byte("[::1]:8080")
		n := len(c.Spans())
		x, _ := start(t, c.URL)
		x.Answered(e)
		x.Close(later())
		s := c.Spans()[n]
		checktest.Truef(t, s.Attributes[tt[2]] == tt[1] && s.Attributes["user_agent.original"] == "a\uFFFDb" &&
			s.Attributes["server.address"] == "::1" && s.Attributes["server.port"] == "8080", "%.80s: %q", tt[0], s.Attributes)
	}
}

// Only a response with 5xx is a failure of the server; a wrong request or a disconnect is not.
func TestStatusOfASpanIsErrorFor5xxOnly(t *testing.T) {
	c := oteltest.Collect(t, nil)
	x, _ := start(t, c.URL)
	for _, tt := range []struct {
		status  int
		aborted bool
		kind    string
	}{{200, false, ""}, {404, false, ""}, {500, false, "500"}, {503, true, "503"}, {200, true, "aborted"},
		{logfile.StatusGone, true, "client_disconnected"}} {
		e := entry(fmt.Sprintf("GET /%d%v HTTP/1.1", tt.status, tt.aborted))
		e.Status, e.Aborted = tt.status, tt.aborted
		x.Answered(e)
	}
	call := x.Call(entry("").Trace.ID)
	call.Method, call.URL, call.Address, call.Port, call.Resent = "GET", "http://u:80/x?sig=1", "u", "80", 2
	parent := call.Traceparent()
	call.End(0, "timeout", errors.New("too\xff late"))
	x.Close(later())
	for _, s := range c.Spans() {
		status, kind := s.Attributes["http.response.status_code"], s.Attributes["error.type"]
		failed := strings.HasPrefix(status, "5") || s.Kind == "CLIENT"
		checktest.Truef(t, s.Failed == failed &&
			(s.Kind != "SERVER" || strings.HasPrefix(s.Attributes["url.path"], "/"+status)) &&
			(kind == "client_disconnected") == (s.Attributes["url.path"] == "/499true"), "%+v", s)
		checktest.Truef(t, s.Kind != "CLIENT" || kind == "timeout" && s.Why == "too\uFFFD late" &&
			s.Parent == "0102000000000000" && s.Attributes["url.full"] == "http://u:80/x?sig=REDACTED" && s.Name == "GET" &&
			s.Attributes["http.request.resend_count"] == "2" && parent == "00-"+s.Trace+"-"+s.ID+"-01", "%s: %+v", parent, s)
		checktest.Truef(t, s.Kind != "SERVER" ||
			s.Flags == 0x301 && s.Parent == "00f067aa0ba902b7" && s.End.Sub(s.Begin) == time.Second, "%+v", s)
	}
	checktest.Equalf(t, len(c.Spans()), 7, "spans")
}

func TestQueueDropsAndCountsSpansAboveItsLimit(t *testing.T) {
	release := make(chan struct{})
	c := oteltest.Collect(t, func(http.ResponseWriter, *http.Request, int) bool { <-release; return false })
	x, lines := start(t, c.URL, "OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4")
	for range 4 {
		x.Answered(entry("GET /first HTTP/1.1"))
	}
	checktest.Eventually(t, "a batch is being sent", func() bool { return c.Requests() == 1 })
	for range 13 {
		x.Answered(entry("GET /second HTTP/1.1"))
	}
	checktest.Equalf(t, x.Dropped(), 3, "spans were dropped")
	close(release)
	x.Close(later())
	if n := len(c.Spans()); n != 14 || c.Requests() != 4 || lines.Load() != 1 {
		t.Errorf("%d spans in %d requests, %d lines", n, c.Requests(), lines.Load())
	}
}

func TestBatchIsSentAgainWhenTheCollectorAsksForIt(t *testing.T) {
	var times [3]time.Time
	c := oteltest.Collect(t, func(w http.ResponseWriter, _ *http.Request, n int) bool {
		times[min(n, 2)] = time.Now()
		if n < 2 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader([]int{429, 503}[n])
		}
		return n < 2
	})
	x, lines := start(t, c.URL, "OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b,x=y")
	x.Answered(entry("GET /a HTTP/1.1"))
	x.Close(later())
	_, headers := c.Bodies()
	checktest.Truef(t, len(c.Spans()) == 1 && x.Dropped() == 0 && lines.Load() == 1 &&
		times[1].Sub(times[0]) >= time.Second && times[2].Sub(times[1]) >= time.Second,
		"%d spans, %d dropped, %d lines, at %v", len(c.Spans()), x.Dropped(), lines.Load(), times)
	checktest.Truef(t, headers[0].Get("Api-Key") == "a b" && headers[0].Get("X") == "y" &&
		headers[0].Get("Content-Encoding") == "gzip", "%q", headers[0])
}

// The collector asks for a pause that ends after the deadline of Close.
func TestCloseDoesNotWaitForAPauseThatEndsLater(t *testing.T) {
	c := oteltest.Collect(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(429)
		return true
	})
	x, _ := start(t, c.URL, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1")
	x.Answered(entry("GET /a HTTP/1.1"))
	checktest.Eventually(t, "the first batch is dropped", func() bool { return x.Dropped() == 1 })
	x.Answered(entry("GET /b HTTP/1.1"))
	until := time.Now().Add(4 * time.Minute)
	x.Close(until)
	checktest.Truef(t, x.Dropped() == 2 && c.Requests() == 1 && !time.Now().After(until),
		"%d spans were dropped after %d requests", x.Dropped(), c.Requests())
}

// A status such as 400 means that the batch is invalid, so a retry would fail again.
func TestRefusedBatchIsDroppedAndTheNextOneIsSent(t *testing.T) {
	c := oteltest.Collect(t, func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 0 {
			w.WriteHeader(400)
		}
		return n == 0
	})
	x, lines := start(t, c.URL, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1")
	x.Answered(entry("GET /a HTTP/1.1"))
	checktest.Eventually(t, "the first batch is dropped", func() bool { return x.Dropped() == 1 })
	x.Answered(entry("GET /b HTTP/1.1"))
	x.Close(later())
	checktest.Truef(t, len(c.Spans()) == 1 && c.Requests() == 2 && lines.Load() == 1,
		"%d spans in %d requests, %d lines", len(c.Spans()), c.Requests(), lines.Load())
}

func TestCloseDoesNotWaitForACollectorThatDoesNotAnswer(t *testing.T) {
	ln := checktest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	defer ln.Close()
	x, _ := start(t, "http://"+ln.Addr().String())
	for range 2000 {
		x.Answered(entry("GET /a HTTP/1.1"))
	}
	x.Close(later()) // must not wait for OTLP_TIMEOUT for each batch
	checktest.Equalf(t, x.Dropped(), 2000, "spans were dropped")
	refused := "http://" + ln.Addr().String()
	ln.Close()
	x, _ = start(t, refused)
	x.Answered(entry("GET /a HTTP/1.1"))
	x.Close(later())
	checktest.Equalf(t, x.Dropped(), 1, "spans were dropped")
}

func TestSpanNeedsNoAllocation(t *testing.T) {
	x, _ := start(t, oteltest.Collect(t, nil).URL, "OTEL_BSP_MAX_QUEUE_SIZE=1000", "OTEL_BSP_SCHEDULE_DELAY=1000000")
	e := entry("GET /a?b=c&sig=d HTTP/1.1")
	e.Trace.Route, e.Trace.Host, e.Trace.Agent = "/", []byte("example.org:8888"), []byte("curl")
	n := testing.AllocsPerRun(400, func() { x.Answered(e) })
	if n >= 1 { // The average is above 0 if the queue has grown.
		t.Errorf("%v allocations", n)
	}
}

func TestUnsampledTraceHasNoSpan(t *testing.T) {
	c := oteltest.Collect(t, nil)
	x, _ := start(t, c.URL)
	e := entry("GET /a HTTP/1.1")
	e.Trace.ID.Flags = 0
	x.Answered(e)
	e.Trace = nil
	x.Answered(e)
	var none *otel.Exporter
	for _, call := range []*otel.Call{x.Call(http1.Identity{}), none.Call(entry("").Trace.ID)} {
		checktest.Equalf(t, call, nil, "a call")
		call.End(200, "", nil)
	}
	none.Close(time.Now())
	x.Close(later())
	checktest.Equalf(t, c.Requests(), 0, "requests")
}
