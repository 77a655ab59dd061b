package http2

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"fapws/runtime/http1"
)

// block returns the header block of fields, which are "name value" lines.
func blockOf(max int, fields ...string) *headerBlock {
	b := new(headerBlock)
	b.begin(1, ofRequest, true, max)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, " ")
		b.add(hpack.HeaderField{Name: name, Value: value})
	}
	b.check()
	return b
}

var plain = []string{":method GET", ":scheme http", ":authority example.org", ":path /a?b"}

// Fields become a head of the form of HTTP/1.
func TestHead(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   string // after the request line
	}{
		{"plain", nil, "host: example.org\r\n\r\n"},
		{"the same host twice", []string{"host Example.org", "a b"}, "host: example.org\r\na: b\r\n\r\n"},
		{"cookies", []string{"cookie a=b", "x y", "cookie c=d", "cookie e"}, "host: example.org\r\nx: y\r\ncookie: a=b; c=d; e\r\n\r\n"},
		{"te", []string{"te trailers"}, "host: example.org\r\nte: trailers\r\n\r\n"},
		{"empty value", []string{"x "}, "host: example.org\r\nx: \r\n\r\n"},
	} {
		b := blockOf(1<<16, append(plain[:4:4], c.fields...)...)
		if got := string(b.appendHead(nil)); b.fault != "" || got != "GET /a?b HTTP/2.0\r\n"+c.want {
			t.Errorf("%s: %q, %s", c.name, got, b.fault)
		}
	}
	b := blockOf(1<<16, ":method OPTIONS", ":path *", ":scheme http", "host h")
	if got := string(b.appendHead(nil)); b.fault != "" || got != "OPTIONS * HTTP/2.0\r\nhost: h\r\n\r\n" {
		t.Errorf("%q, %s", got, b.fault)
	}
}

// RFC 9113 §8 makes these requests malformed.
func TestMalformedHead(t *testing.T) {
	for name, fields := range map[string][]string{
		"upper case":            {"X-A b"},
		"no token":              {"x(a b"},
		"no name":               {" b"},
		"line break in a name":  {"x\r\nb c"},
		"line break":            {"x a\r\nb: c"},
		"carriage return":       {"x a\rb"},
		"line feed":             {"x a\nb"},
		"NUL":                   {"x a\x00b"},
		"space before":          {"x  a"},
		"tab behind":            {"x a\t"},
		"connection":            {"connection close"},
		"keep-alive":            {"keep-alive 1"},
		"proxy-connection":      {"proxy-connection close"},
		"transfer-encoding":     {"transfer-encoding chunked"},
		"upgrade":               {"upgrade websocket"},
		"te":                    {"te gzip"},
		"another host":          {"host other.example.org"},
		"two hosts":             {"host example.org", "host example.org"},
		"empty host":            {"host "},
		"pseudo field later":    {"x a", ":authority b"},
		"repeated method":       {":method GET"},
		"unknown pseudo field":  {":protocol websocket"},
		"of a response":         {":status 200"},
		"without a name at all": {": a"},
	} {
		if b := blockOf(1<<16, append(plain[:4:4], fields...)...); b.fault == "" {
			t.Errorf("%s: %q", name, b.appendHead(nil))
		}
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
		if b := blockOf(1<<16, fields...); b.fault == "" {
			t.Errorf("%s: %q", name, b.appendHead(nil))
		}
	}
}

// A list that is too large is not kept.
func TestLargeHead(t *testing.T) {
	b := blockOf(1000, append(plain[:4:4], "x "+strings.Repeat("a", 600), "y "+strings.Repeat("b", 600), "z c")...)
	if !b.tooLarge || len(b.fields) > 700 {
		t.Errorf("%v, %d bytes are kept", b.tooLarge, len(b.fields))
	}
}

// FuzzHead holds fields to what HTTP/1 makes of the head that they become: the same fields, and no others.
func FuzzHead(f *testing.F) {
	f.Add("GET", "http", "example.org", "/a?b", "x", "y", "cookie", "a=b")
	f.Add("POST", "https", "", "/", "host", "a", "content-length", "5")
	f.Add("GET", "http", "a", "/", "x\r\ny", "z", "b", "c\r\nd: e")
	f.Add("OPTIONS", "http", "a", "*", "te", "trailers", "expect", "100-continue")
	f.Fuzz(func(t *testing.T, method, scheme, authority, path, name1, value1, name2, value2 string) {
		b := new(headerBlock)
		b.begin(1, ofRequest, true, 1<<16)
		fields := []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: scheme}, {Name: ":path", Value: path}}
		if authority != "" {
			fields = append(fields, hpack.HeaderField{Name: ":authority", Value: authority})
		}
		fields = append(fields, hpack.HeaderField{Name: name1, Value: value1}, hpack.HeaderField{Name: name2, Value: value2})
		for _, f := range fields {
			b.add(f)
		}
		if b.check(); b.fault != "" || b.tooLarge {
			return
		}
		head := b.appendHead(nil)
		limits := http1.Limits{RequestLine: 1 << 20, FieldLine: 1 << 20, Head: 1 << 21}
		var r http1.Request
		if r.ParseWhole(head, &limits) != nil {
			return
		}
		if got := string(r.Method.In(head)); got != method || r.HeadLen != len(head) || r.Version != http1.HTTP2 {
			t.Fatalf("%q: method %q of %q, %v", head, got, method, r.Version)
		}
		if got := string(r.Target.In(head)); got != path {
			t.Fatalf("%q: target %q of %q", head, got, path)
		}
		want := map[string]bool{"host": true, name1: true, name2: true}
		for _, f := range r.Fields {
			if !want[string(f.Name.In(head))] || bytes.ContainsAny(f.Value.In(head), "\r\n\x00") {
				t.Fatalf("%q has %q: %q", head, f.Name.In(head), f.Value.In(head))
			}
		}
		if len(r.Fields) > 3 {
			t.Fatalf("%q has %d fields", head, len(r.Fields))
		}
	})
}

func TestPriority(t *testing.T) {
	for value, want := range map[string]priority{
		"":               {3, false},
		"u=0":            {0, false},
		"u=7, i":         {7, true},
		"i":              {3, true},
		"i=?0":           {3, false},
		"u=5;x=1 , i=?1": {5, true},
		"u=8":            {3, false},
		"u=-1, u":        {3, false},
		"u=1,u=2":        {2, false},
		"\xff,,=":        {3, false},
	} {
		var p priority
		if p.parse(value); p != want {
			t.Errorf("%q: %v, want %v", value, p, want)
		}
	}
}

// Streams have turns by their urgency, and incremental ones one after the other.
func TestTurns(t *testing.T) {
	c := new(Conn)
	streams := map[uint32]*stream{}
	add := func(id uint32, p priority) {
		st := &stream{c: c, id: id, priority: p}
		st.writing, st.credit = true, 1
		streams[id] = st
		c.enqueue(st)
	}
	turns := func(n int) (ids []uint32) {
		for range n {
			st := c.turn()
			ids = append(ids, st.id)
			c.turned(st)
		}
		return ids
	}
	is := func(want ...uint32) {
		t.Helper()
		if got := turns(len(want)); !equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	add(1, defaultPriority)
	add(3, defaultPriority)
	add(5, defaultPriority)
	is(1, 3, 5, 1, 3)
	add(7, priority{urgency: 1})
	add(9, priority{urgency: 1})
	is(7, 7, 7)
	c.dequeue(streams[7])
	is(9, 9)
	c.reprioritize(streams[9], priority{urgency: 5})
	is(5, 1, 3)
	streams[3].credit = 0
	c.dequeue(streams[3])
	c.enqueue(streams[3]) // it has no window
	is(5, 1, 5)
	for _, id := range []uint32{1, 5} {
		c.dequeue(streams[id])
	}
	is(9)
	c.dequeue(streams[9])
	if st := c.turn(); st != nil {
		t.Error(st.id)
	}
}

func equal(a, b []uint32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// A stream may have its priority before it is opened (RFC 9218 §7.1). That of the last ones is kept.
func TestExpectedPriority(t *testing.T) {
	c := new(Conn)
	own, other := priority{urgency: 1}, priority{urgency: 5}
	for id := uint32(1); id < 1001; id += 2 {
		c.expect(id, priority{urgency: 7})
		c.expect(id, own)
	}
	if len(c.expected) != maxExpected {
		t.Errorf("%d are kept", len(c.expected))
	}
	if p := c.priorityOf(1, other); p != other {
		t.Error(p)
	}
	if p := c.priorityOf(997, other); p != own || len(c.expected) != 1 {
		t.Error(p, len(c.expected))
	}
	if p := c.priorityOf(999, other); p != own || c.expected != nil {
		t.Error(p, c.expected)
	}
}

// Frames that bring nothing on are answered only as fast as time fills the budget.
func TestBudget(t *testing.T) {
	const resets = 1000
	var b budget
	b.begin(resets, 0)
	n := 0
	for b.spend(costReset, 0) {
		n++
	}
	if n != resets {
		t.Errorf("%d resets at once", n)
	}
	n = 0
	for second := range int64(10) {
		for b.spend(costReset, (second+1)*1e9) {
			n++
		}
	}
	if n < 250 || n > 300 {
		t.Errorf("%d resets in ten seconds", n)
	}
}
