package http2

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func blockOf(max int, fields ...string) *headerBlock {
	b := new(headerBlock)
	b.begin(1, ofRequest, true, max)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, " ")
		b.add(hpack.HeaderField{Name: name, Value: value})
	}
	return b
}

var plain = []string{":method GET", ":scheme http", ":authority example.org", ":path /a?b"}

func TestFieldsBecomeAnHTTP1Head(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"plain", nil, "host: example.org\r\n\r\n"},
		{"the same host twice", []string{"host Example.org", "a b"}, "host: example.org\r\na: b\r\n\r\n"},
		{"cookies", []string{"cookie a=b", "x y", "cookie c=d", "cookie e"},
			"host: example.org\r\nx: y\r\ncookie: a=b; c=d; e\r\n\r\n"},
		{"te", []string{"te trailers"}, "host: example.org\r\nte: trailers\r\n\r\n"},
		{"empty value", []string{"x "}, "host: example.org\r\nx: \r\n\r\n"},
	} {
		b := blockOf(1<<16, append(plain[:4:4], c.fields...)...)
		got := string(b.appendHead(nil))
		checktest.Truef(t, b.fault == "" && got == "GET /a?b HTTP/2.0\r\n"+c.want, "%s: %q, %s", c.name, got, b.fault)
	}
	b := blockOf(1<<16, ":method OPTIONS", ":path *", ":scheme http", "host h")
	got := string(b.appendHead(nil))
	checktest.Truef(t, b.fault == "" && got == "OPTIONS * HTTP/2.0\r\nhost: h\r\n\r\n", "%q, %s", got, b.fault)
}

// Further malformed requests are in TestMessagesThatHTTP1RejectsAreRejectedAsHTTP2 of package acceptance/http2.
func TestMalformedRequestsAreRejected(t *testing.T) {
	for name, fields := range map[string][]string{
		"no token":              {"x(a b"},
		"no name":               {" b"},
		"carriage return":       {"x a\rb"},
		"tab behind":            {"x a\t"},
		"proxy-connection":      {"proxy-connection close"},
		"empty host":            {"host "},
		"repeated method":       {":method GET"},
		"unknown pseudo field":  {":protocol websocket"},
		"of a response":         {":status 200"},
		"without a name at all": {": a"},
	} {
		b := blockOf(1<<16, append(plain[:4:4], fields...)...)
		head := b.appendHead(nil)
		checktest.Truef(t, b.fault != "", "%s: %q", name, head)
	}
	for name, fields := range map[string][]string{
		"no method":         {":scheme http", ":authority a", ":path /"},
		"no scheme":         {":method GET", ":authority a", ":path /"},
		"no path":           {":method GET", ":scheme http", ":authority a"},
		"empty path":        {":method GET", ":scheme http", ":authority a", ":path "},
		"empty authority":   {":method GET", ":scheme http", ":authority ", ":path /"},
		"space in the path": {":method GET", ":scheme http", ":authority a", ":path /a HTTP/1.1"},
		"line in the path":  {":method GET", ":scheme http", ":authority a", ":path /\r\nx:"},
		"space in a method": {":method GET /", ":scheme http", ":authority a", ":path /"},
		"absolute path":     {":method GET", ":scheme http", ":authority a", ":path http://b/"},
		"star":              {":method GET", ":scheme http", ":authority a", ":path *"},
	} {
		b := blockOf(1<<16, fields...)
		head := b.appendHead(nil)
		checktest.Truef(t, b.fault != "", "%s: %q", name, head)
	}
}

func TestFieldsThatAreTooLargeAreNotKept(t *testing.T) {
	b := blockOf(1000, append(plain[:4:4], "x "+strings.Repeat("a", 600), "y "+strings.Repeat("b", 600), "z c")...)
	checktest.Truef(t, b.tooLarge && len(b.fields) <= 700, "%v, %d bytes are kept", b.tooLarge, len(b.fields))
}

// FuzzHead checks that package http1 parses a rewritten head into exactly the fields of the HTTP/2 request.
func FuzzHead(f *testing.F) {
	f.Add("GET", "http", "example.org", "/a?b", "x", "y", "cookie", "a=b")
	f.Add("POST", "https", "", "/", "host", "a", "content-length", "5")
	f.Add("GET", "http", "a", "/", "x\r\ny", "z", "b", "c\r\nd: e")
	f.Add("OPTIONS", "http", "a", "*", "te", "trailers", "expect", "100-continue")
	f.Fuzz(func(t *testing.T, method, scheme, authority, path, name1, value1, name2, value2 string) {
		b := new(headerBlock)
		b.begin(1, ofRequest, true, 1<<16)
		fields := []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: scheme},
			{Name: ":path", Value: path}}
		if authority != "" {
			fields = append(fields, hpack.HeaderField{Name: ":authority", Value: authority})
		}
		fields = append(fields, hpack.HeaderField{Name: name1, Value: value1}, hpack.HeaderField{Name: name2, Value: value2})
		for _, f := range fields {
			b.add(f)
		}
		head := b.appendHead(nil)
		if b.fault != "" || b.tooLarge {
			return
		}
		limits := http1.Limits{RequestLine: 1 << 20, FieldLine: 1 << 20, Head: 1 << 21}
		var r http1.Request
		if r.ParseWhole(head, &limits) != nil {
			return
		}
		if got := string(r.Method.In(head)); got != method || r.HeadLen != len(head) || r.Version != http1.HTTP2 {
			t.Fatalf("%q: method %q of %q, %v", head, got, method, r.Version)
		}
		got := string(r.Target.In(head))
		checktest.Needf(t, got == path, "%q: target %q of %q", head, got, path)
		want := map[string]bool{"host": true, name1: true, name2: true}
		for _, f := range r.Fields {
			checktest.Needf(t, want[string(f.Name.In(head))] && !bytes.ContainsAny(f.Value.In(head), "\r\n\x00"),
				"%q has %q: %q", head, f.Name.In(head), f.Value.In(head))
		}
		checktest.Needf(t, len(r.Fields) <= 3, "%q has %d fields", head, len(r.Fields))
	})
}

// Encoding the same head again gives the same fields, regardless of the size of the client's table. Connection-specific
// fields and fields with invalid names are removed.
func TestHeadLinesBecomeFields(t *testing.T) {
	s := new(Server)
	s.makeEncoder()
	neverKept := []string{"set-cookie", "x-request-id", "server-timing", "ratelimit"}
	long := strings.Repeat("x", maxKnown)
	for range 2 {
		for line, want := range map[string]string{
			"HTTP/1.1 200 OK":            ":status=200",
			"HTTP/1.1 101 Switching":     ":status=200",
			"Content-Type: text/html":    "content-type=text/html",
			"X-Empty:":                   "x-empty=",
			"X-Spaces: \t a b \t":        "x-spaces=a b",
			"X-Colon: a:b":               "x-colon=a:b",
			"Set-Cookie: a=b":            "set-cookie=a=b",
			"X-Request-Id: 7":            "x-request-id=7",
			"Server-Timing: a;dur=1":     "server-timing=a;dur=1",
			"RateLimit: r=0":             "ratelimit=r=0",
			"RateLimit-Policy: q=40":     "ratelimit-policy=q=40",
			"X-Long: " + long:            "x-long=" + long,
			"Connection: close":          "",
			"Transfer-Encoding: chunked": "",
			"Upgrade: websocket":         "",
			"Keep-Alive: 5":              "",
			":status: 200":               "",
			"X Y: z":                     "",
			"none":                       "none=",
		} {
			fields, err := hpack.NewDecoder(0, nil).DecodeFull(s.code([]byte(line)))
			checktest.Mustf(t, err, "%s", line)
			got, hidden := "", false
			for _, f := range fields {
				got, hidden = got+f.Name+"="+f.Value, f.Sensitive
			}
			name, _, _ := strings.Cut(want, "=")
			checktest.Truef(t, got == want && hidden == slices.Contains(neverKept, name),
				"%.50q: %.50q, want %.50q", line, got, want)
		}
	}
}

func TestMalformedHeadIsAnsweredWith400(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(1, "/", true, "Upper case")
	got := p.response(1)
	checktest.Truef(t, strings.HasPrefix(got, "400 "), "%q", got)
}

func TestIncompleteFieldEndsItsConnection(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	// the last field has a name and no value
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0, 1, 'a'}, EndHeaders: true,
		EndStream: true})
	p.is(1, "!!COMPRESSION_ERROR")
}
