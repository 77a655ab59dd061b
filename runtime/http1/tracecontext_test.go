package http1_test

import (
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

const (
	id    = "12345678901234567890123456789012"
	valid = "00-" + id + "-1234567890123456-01"
)

var identifier = http1.NewIdentifier(true, false)

// parse parses a whole head. If rewritten is true, the head has fields of Rewrite.
func parse(t *testing.T, head []byte, rewritten bool) *http1.Request {
	t.Helper()
	limits := http1.DefaultLimits
	if rewritten {
		limits = limits.Plus(http1.OwnFields, http1.OwnLines)
	}
	r := new(http1.Request)
	checktest.Mustf(t, r.ParseWhole(head, &limits), "in %q", head)
	return r
}

// identityIn returns the identity in a rewritten head, with the Parent that Rewrite found.
func identityIn(head []byte, r *http1.Request, own int, made *http1.Identity) http1.Identity {
	found := http1.OwnIdentity(head, r, own)
	found.Parent = made.Parent
	return found
}

var made = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])$`)

func rewrite(t *testing.T, fields string) (string, string) {
	t.Helper()
	head := []byte("GET /a?b HTTP/1.1\r\nHost: h\r\n" + fields + "Upgrade: websocket\r\n\r\n")
	r := parse(t, head, false)
	var made http1.Identity
	out, own := identifier.Rewrite([]byte("before"), head, r, false, false, &made)
	out = out[len("before"):]
	again := parse(t, out, true)
	checktest.Truef(t, len(out) <= len(head)+http1.OwnLines && r.HeadLen == len(out) &&
		len(r.Fields) == len(again.Fields) && r.Host == again.Host &&
		r.UpgradeTo == again.UpgradeTo, "%q is %+v, not %+v", out, again, r)
	checktest.Equalf(t, r.Fields, again.Fields, "the fields of %q", out)
	checktest.Equalf(t, identityIn(out, r, own, &made), made, "found")
	last := r.Fields[len(r.Fields)-1]
	checktest.Truef(t, string(last.Name.In(out)) == "traceparent" &&
		string(out[last.Value.Off+last.Value.Len:]) == "\r\n\r\n", "the end is %q", out[last.Name.Off:])
	return strings.TrimPrefix(string(out), "GET /a?b HTTP/1.1\r\n"), made.Trace.String()
}

// The parent-id of a continued trace is new. An invalid traceparent is replaced, as in the W3C test suite.
func TestTraceparentContinuesAValidTrace(t *testing.T) {
	field := func(value string) string { return "traceparent: " + value + "\r\n" }
	for _, tt := range []struct {
		fields string
		goesOn bool
		flags  string
	}{
		{"", false, "01"},
		{field(valid), true, "01"},
		{field(" \t" + valid + " \t"), true, "01"},
		{strings.ToUpper("traceparent") + ": " + valid + "\r\n", true, "01"},
		{field("00-" + id + "-1234567890123456-00"), true, "00"},
		{field("00-" + id + "-1234567890123456-fe"), true, "00"},
		{field("00-" + id + "-1234567890123456-03"), true, "01"},
		{field("cc-" + id + "-1234567890123456-01"), true, "01"},
		{field("cc-" + id + "-1234567890123456-01-what-the-future-will-be-like"), true, "01"},
		{field("cc-" + id + "-1234567890123456-01.what-the-future-will-be-like"), false, "01"},
		{field("cc-" + id + "-1234567890123456-01a"), false, "01"},
		{field("ff-" + id + "-1234567890123456-01"), false, "01"},
		{field(".0-" + id + "-1234567890123456-01"), false, "01"},
		{field("0-" + id + "-1234567890123456-01"), false, "01"},
		{field("000-" + id + "-1234567890123456-01"), false, "01"},
		{field("00-" + id + "-1234567890123456-01-what"), false, "01"},
		{field("00-00000000000000000000000000000000-1234567890123456-01"), false, "01"},
		{field("00-" + id + "-0000000000000000-01"), false, "01"},
		{field("00-" + id + "-1234567890123456-1"), false, "01"},
		{field("00-" + id + "-1234567890123456-0x"), false, "01"},
		{field("00-" + strings.Repeat("A", 32) + "-1234567890123456-01"), false, "01"},
		{field("00-" + strings.Repeat("a", 32) + "-ABCDEF7890123456-01"), false, "01"},
		{field("00-" + id + "-123456789012345-01"), false, "01"},
		{field("00_" + id + "_1234567890123456_01"), false, "01"},
		{field(""), false, "01"},
		{field("'; drop table"), false, "01"},
		{field(valid) + field(valid), false, "01"},
		{field(valid) + "TraceParent: 00-" + strings.Repeat("a", 32) + "-1234567890123456-01\r\n", false, "01"},
		{"traceparen: " + valid + "\r\ntracestat: a=b\r\nX: y\r\n", false, "01"},
	} {
		head, trace := rewrite(t, tt.fields)
		var values []string
		for line := range strings.Lines(head) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.EqualFold(name, "traceparent") {
				values = append(values, value)
			}
		}
		if len(values) != 1 {
			t.Errorf("%q: %q", tt.fields, values)
			continue
		}
		m := made.FindStringSubmatch(values[0])
		checktest.Truef(t, m != nil && m[1] == trace && (m[1] == id) == tt.goesOn && m[2] != "1234567890123456" &&
			m[3] == tt.flags, "%q: %q, trace %s", tt.fields, values, trace)
	}
}

func TestTracestateStaysWithItsTraceparent(t *testing.T) {
	parent := "traceparent: " + valid + "\r\n"
	many := strings.TrimSuffix(strings.Repeat("a=1,", 32), ",")
	for _, tt := range []struct {
		fields string
		goesOn bool
	}{
		{parent + "tracestate: foo=1,bar=2\r\n", true},
		{parent + "tracestate: foo=1 , \t bar=2 ,, \r\ntracestate: rojo=00f067aa0ba902b7\r\n", true},
		{parent + "tracestate: fw529a3039@dt=FfSs8;x_y-z*/1 !#$~,a_-*/1=b\r\n", true},
		{parent + "tracestate: \r\n", true},
		{parent + "TraceState: " + many + "\r\n", true},
		{parent + "tracestate: " + many + "\r\ntracestate: b=1\r\n", false},
		{parent + "tracestate: " + strings.Repeat("k", 256) + "=" + strings.Repeat("v", 256) + "\r\n", true},
		{parent + "tracestate: " + strings.Repeat("k", 257) + "=1\r\n", false},
		{parent + "tracestate: k=" + strings.Repeat("v", 257) + "\r\n", false},
		{parent + "tracestate: foo =1\r\n", false},
		{parent + "tracestate: FOO=1\r\n", false},
		{parent + "tracestate: foo=bar=baz\r\n", false},
		{parent + "tracestate: foo=\r\n", false},
		{parent + "tracestate: foo=1;bar\xe9=2,a\xe9=1\r\n", false},
		{parent + "tracestate: foo@=1\r\n", false},
		{parent + "tracestate: @foo=1\r\n", false},
		{parent + "tracestate: a@b@c=1\r\n", false},
		{"traceparent: 00-0-0-01\r\ntracestate: foo=1\r\n", false},
		{"tracestate: foo=1\r\n", false},
	} {
		head, _ := rewrite(t, tt.fields)
		checktest.Equalf(t, strings.Contains(strings.ToLower(head), "tracestate"), tt.goesOn, "%.100q: %q", tt.fields, head)
	}
}

func TestTraceIDsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		_, trace := rewrite(t, "")
		seen[trace] = true
	}
	checktest.Equalf(t, len(seen), 1000, "traces")
}

// FuzzRewrite checks that Rewrite gives every head exactly one valid traceparent and keeps all other fields.
func FuzzRewrite(f *testing.F) {
	f.Add("traceparent: " + valid + "\r\ntracestate: a=b\r\n")
	f.Add("Tracestate: a=b\r\nHost: x\r\ntraceparent: cc-" + id + "-1234567890123456-01-\r\n")
	f.Fuzz(func(t *testing.T, fields string) {
		head := []byte("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
		var r, before http1.Request
		limits := http1.DefaultLimits
		if before.ParseWhole(head, &limits) != nil || r.ParseWhole(head, &limits) != nil {
			return
		}
		var made http1.Identity
		out, own := http1.NewIdentifier(true, false).Rewrite(nil, head, &r, true, false, &made)
		again := parse(t, out, true)
		checktest.Needf(t, identityIn(out, again, own, &made) == made && made.Trace.String() != "", "no trace in %q", out)
		kept := func(head []byte, r *http1.Request) (all string) {
			for _, f := range r.Fields {
				if name := strings.ToLower(string(f.Name.In(head))); !strings.HasPrefix(name, "trace") {
					all += name + ":" + string(f.Value.In(head)) + "\n"
				}
			}
			return all
		}
		checktest.Needf(t, kept(out, again) == kept(head, &before) && kept(out, &r) == kept(head, &before),
			"%q has become %q", head, out)
	})
}

// The handler of a subrequest belongs to the span of the client's request, because a subrequest has no span of its own.
func TestSubrequestKeepsTheSpanOfItsRequest(t *testing.T) {
	for _, field := range []string{"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", ""} {
		head := []byte("GET / HTTP/1.1\r\nHost: h\r\n" + field + "\r\n")
		var id http1.Identity
		identifier.Rewrite(nil, head, parse(t, head, false), true, true, &id)
		checktest.Truef(t, id.Span != (http1.SpanID{}) && (id.Span == id.Parent) == (field != ""), "%q: %+v", field, id)
	}
}

func TestSamplerDecidesAboutTheFlagOfATrace(t *testing.T) {
	const half, n = http1.WholeShare / 2, 1000
	for _, tt := range []struct {
		s           *http1.Sampler
		fresh       [2]int // minimum and maximum number of sampled traces among n new traces
		given, none int    // 1 if a trace that a client has sent with (without) the sampled flag is sampled, else 0
	}{
		{nil, [2]int{n, n}, 1, 0},
		{&http1.Sampler{ByParent: true, Share: http1.WholeShare}, [2]int{n, n}, 1, 0},
		{&http1.Sampler{ByParent: true}, [2]int{0, 0}, 1, 0},
		{&http1.Sampler{Share: http1.WholeShare}, [2]int{n, n}, 1, 1},
		{&http1.Sampler{}, [2]int{0, 0}, 0, 0},
		{&http1.Sampler{Share: half}, [2]int{n / 4, n * 3 / 4}, 0, 0},
	} {
		i := http1.NewIdentifier(true, false)
		i.Sampler = tt.s
		flag := func(field string) (sampled int) {
			head := []byte("GET / HTTP/1.1\r\nHost: h\r\n" + field + "\r\n")
			var id http1.Identity
			out, _ := i.Rewrite(nil, head, parse(t, head, false), false, false, &id)
			checktest.Equalf(t, strings.Contains(string(out), "-01\r\n"), id.Sampled(), "%+v: %q, %+v", tt.s, out, id)
			if id.Sampled() {
				return 1
			}
			return 0
		}
		sampled := 0
		for range n {
			sampled += flag("")
		}
		// The last eight bytes of this trace ID are above the middle of their range, so a Share of half excludes it.
		const client = "traceparent: 00-4bf92f3577b34da6f3ce929d0e0e4736-00f067aa0ba902b7-0"
		given, none := flag(client+"1\r\n"), flag(client+"0\r\n")
		checktest.Truef(t, sampled >= tt.fresh[0] && sampled <= tt.fresh[1] && given == tt.given && none == tt.none,
			"%+v: %d, %d, %d", tt.s, sampled, given, none)
	}
}

// The field x-request-id is kept only if a trusted client sent it, if it is valid, and if it is the only one.
func TestRewriteGivesEachRequestOneID(t *testing.T) {
	field := func(value string) string { return "X-Request-ID: " + value + "\r\n" }
	long := strings.Repeat("a", 128)
	for _, tt := range []struct{ fields, kept string }{
		{"", ""},
		{field("Az09._~:/+=-"), "Az09._~:/+=-"},
		{"x-request-id:\t" + long + " \r\n", long},
		{field(long + "a"), ""},
		{field(""), ""},
		{field("a") + field("a"), ""},
		{field("a,b"), ""},
		{field("a b"), ""},
		{field("\xe4"), ""},
		{field("a") + "tracestate: a=b\r\n", "a"},
	} {
		for _, trusted := range []bool{true, false} {
			for _, traces := range []bool{true, false} {
				head := []byte("GET / HTTP/1.1\r\nHost: h\r\n" + tt.fields + "X: y\r\n\r\n")
				var id http1.Identity
				out, own := http1.NewIdentifier(traces, true).Rewrite(nil, head, parse(t, head, false), trusted, false, &id)
				found := identityIn(out, parse(t, out, true), own, &id)
				checktest.Truef(t, found == id && len(out) <= len(head)+http1.OwnLines, "%q has %+v, want %+v", out, found, id)
				kept := trusted && tt.kept != ""
				checktest.Truef(t, kept == (id.Request == tt.kept) && (kept || !traces || id.Request == id.Trace.String()) &&
					(kept || len(id.Request) == 32), "%q, trusted %v: %+v", tt.fields, trusted, id)
				checktest.Equalf(t, strings.Count(strings.ToLower(string(out)), "x-request-id:"), 1, "ids in %q", out)
			}
		}
	}
}
