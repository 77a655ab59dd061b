package accesslog

import (
	"strings"
	"testing"
)

// TestState: a record goes to another process with what its line needs there, whatever the log of that process asks for.
func TestState(t *testing.T) {
	parse := func(text string) *Log {
		f, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return New(nil, f)
	}
	from := parse(`%r %{X-A}i %{X-B}o`)
	r := &Record{Log: from, Client: "192.0.2.1:7"}
	r.Begin(r.Format())
	r.RequestLine = []byte("GET / HTTP/1.1")
	r.Request[0].Add([]byte("a"))
	r.Response[0].Add([]byte("b"))
	for _, test := range []struct{ format, request, response string }{
		{`%r %{X-A}i %{X-B}o`, "a", "b"},
		{`%{X-B}o`, "", "b"},
		{`%{X-Other}i %{X-A}i`, "", ""},
	} {
		got := r.State().Record(parse(test.format))
		if len(got.Request) != len(got.Format().Request) || len(got.Response) != len(got.Format().Response) {
			t.Fatalf("%s: %d and %d fields", test.format, len(got.Request), len(got.Response))
		}
		first := func(values []Value) string {
			if len(values) == 0 {
				return ""
			}
			return string(values[0].Text)
		}
		if string(got.RequestLine) != "GET / HTTP/1.1" || got.Client != r.Client || first(got.Request) != test.request || first(got.Response) != test.response {
			t.Errorf("%s: %+v", test.format, got)
		}
	}
	if none := r.State().Record(nil); len(none.Request)+len(none.Response) > 0 {
		t.Errorf("fields without a log: %+v", none)
	}
	r.Request[0].Text = []byte(strings.Repeat("x", mostFields))
	r.RequestLine = []byte(strings.Repeat("y", 2*mostRequestLine))
	if got := r.State().Record(from); len(got.RequestLine) != mostRequestLine || len(got.Request) != 1 || got.Request[0].There {
		t.Errorf("%d bytes of request line, %+v", len(got.RequestLine), got.Request)
	}
}
