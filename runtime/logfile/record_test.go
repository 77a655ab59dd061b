package logfile

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

// The log in the new process may have a different format.
func TestStateCarriesALineToAnotherProcess(t *testing.T) {
	parse := func(text string) *AccessLog {
		f := checktest.Try(ParseFormat(text)).Must(t)
		return &AccessLog{nil, f}
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
		checktest.Needf(t, len(got.Request) == len(got.Format().Request) && len(got.Response) == len(got.Format().Response),
			"%s: %d and %d fields", test.format, len(got.Request), len(got.Response))
		first := func(values []Value) string {
			if len(values) == 0 {
				return ""
			}
			return string(values[0].Text)
		}
		checktest.Truef(t, string(got.RequestLine) == "GET / HTTP/1.1" && got.Client == r.Client &&
			first(got.Request) == test.request && first(got.Response) == test.response, "%s: %+v", test.format, got)
	}
	none := r.State().Record(nil)
	checktest.Truef(t, len(none.Request)+len(none.Response) <= 0, "fields without a log: %+v", none)
	r.Request[0].Text = []byte(strings.Repeat("x", mostFields))
	r.RequestLine = []byte(strings.Repeat("y", 2*mostRequestLine))
	got := r.State().Record(from)
	checktest.Truef(t, len(got.RequestLine) == mostRequestLine && len(got.Request) == 1 && !got.Request[0].There,
		"%d bytes of request line, %+v", len(got.RequestLine), got.Request)
}

// The format names the request line, and fields of the request and of the response.
func TestLineHasTheFieldsOfItsFormat(t *testing.T) {
	f := checktest.Try(ParseFormat(`%r %{x-a}i %{X-B}o %{Status}o`)).Must(t)
	r := &Record{Log: &AccessLog{nil, f}}
	r.Begin(r.Format())
	head := []byte("GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-AB: 2\r\nx-a:\t3\r\n\r\n")
	var parsed http1.Request
	limits := http1.DefaultLimits
	checktest.Try(parsed.Parse(head, &limits)).Must(t)
	r.NoteRequest(head, parsed.Fields)
	r.NoteResponse([]byte("HTTP/1.1 200 OK\r\nX-B: 4 \r\nX-BC: 5\r\nx-b: 6\r\n\r\n"))
	checktest.Truef(t, string(r.RequestLine) == "GET /a HTTP/1.1" && string(r.Request[0].Text) == "1, 3" &&
		string(r.Response[0].Text) == "4, 6" && !r.Response[1].There, "%q, %+v, %+v", r.RequestLine, r.Request, r.Response)
	none := &Record{}
	none.Begin(none.Format())
	none.NoteRequest(head, parsed.Fields)
	none.NoteResponse(head)
	none.End()
	checktest.Equal(t, string(none.RequestLine), "GET /a HTTP/1.1")
}
