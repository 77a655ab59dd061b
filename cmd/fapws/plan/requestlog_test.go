package plan

import (
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

func TestRequestLogLinesAreEscapedAndColored(t *testing.T) {
	for _, tt := range []struct {
		r      logfile.Entry
		colour bool
		want   string
	}{
		{logfile.Entry{RequestLine: []byte("GET /a?b=c HTTP/1.1"), Status: 200, BytesSent: 12, Duration: 1234567},
			false, "GET /a?b=c 200 12 bytes 1.2ms"},
		{logfile.Entry{RequestLine: []byte("GET /a HTTP/1.0"), Status: 404, Duration: 23456}, true,
			"GET /a \x1b[33m404\x1b[0m 0 bytes 20µs"},
		{logfile.Entry{RequestLine: []byte("POST /\x1b[31m\xe9 HTTP/1.1"), Status: 500, Duration: 12 * time.Second},
			false, `POST /\x1b[31m\xe9 500 0 bytes 12s`},
		{logfile.Entry{Status: 400, Duration: 55 * time.Millisecond}, false, "(no request) 400 0 bytes 55ms"},
	} {
		checktest.Equalf(t, string(appendAnswered(nil, &tt.r, tt.colour)), tt.want+"\n", "%q", tt.want)
	}
}
