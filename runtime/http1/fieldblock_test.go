package http1

import (
	"bytes"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func blockOf(most int, fields ...string) *FieldBlock {
	b := new(FieldBlock)
	b.Reset(false, most)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, " ")
		b.Add(name, value)
	}
	return b
}

var wholeRequest = []string{":method GET", ":scheme http", ":authority example.org", ":path /a?b"}

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
		b := blockOf(1<<16, append(wholeRequest[:4:4], c.fields...)...)
		got := string(b.AppendHead(nil, HTTP2))
		checktest.Truef(t, b.Fault == "" && got == "GET /a?b HTTP/2.0\r\n"+c.want, "%s: %q, %s", c.name, got, b.Fault)
	}
	b := blockOf(1<<16, ":method OPTIONS", ":path *", ":scheme http", "host h")
	got := string(b.AppendHead(nil, HTTP2))
	checktest.Truef(t, b.Fault == "" && got == "OPTIONS * HTTP/2.0\r\nhost: h\r\n\r\n", "%q, %s", got, b.Fault)
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
		b := blockOf(1<<16, append(wholeRequest[:4:4], fields...)...)
		head := b.AppendHead(nil, HTTP2)
		checktest.Truef(t, b.Fault != "", "%s: %q", name, head)
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
		head := b.AppendHead(nil, HTTP2)
		checktest.Truef(t, b.Fault != "", "%s: %q", name, head)
	}
}

func TestFieldsThatAreTooLargeAreNotKept(t *testing.T) {
	b := blockOf(1000, append(wholeRequest[:4:4], "x "+strings.Repeat("a", 600), "y "+strings.Repeat("b", 600), "z c")...)
	checktest.Truef(t, b.TooLarge && len(b.fields) <= 700, "%v, %d bytes are kept", b.TooLarge, len(b.fields))
}

// FuzzFieldBlock checks that ParseWhole parses a rewritten head into exactly the fields of the HTTP/2 request.
func FuzzFieldBlock(f *testing.F) {
	f.Add("GET", "http", "example.org", "/a?b", "x", "y", "cookie", "a=b")
	f.Add("POST", "https", "", "/", "host", "a", "content-length", "5")
	f.Add("GET", "http", "a", "/", "x\r\ny", "z", "b", "c\r\nd: e")
	f.Add("OPTIONS", "http", "a", "*", "te", "trailers", "expect", "100-continue")
	f.Fuzz(func(t *testing.T, method, scheme, authority, path, name1, value1, name2, value2 string) {
		b := new(FieldBlock)
		b.Reset(false, 1<<16)
		b.Add(":method", method)
		b.Add(":scheme", scheme)
		b.Add(":path", path)
		if authority != "" {
			b.Add(":authority", authority)
		}
		b.Add(name1, value1)
		b.Add(name2, value2)
		head := b.AppendHead(nil, HTTP2)
		if b.Fault != "" || b.TooLarge {
			return
		}
		limits := Limits{RequestLine: 1 << 20, FieldLine: 1 << 20, Head: 1 << 21}
		var r Request
		if r.ParseWhole(head, &limits) != nil {
			return
		}
		if got := string(r.Method.In(head)); got != method || r.HeadLen != len(head) || r.Version != HTTP2 {
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
