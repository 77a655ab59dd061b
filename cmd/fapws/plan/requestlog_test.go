package plan

import (
	"testing"
	"time"

	"fapws/runtime/exchange"
)

func TestAppendAnswered(t *testing.T) {
	for _, tt := range []struct {
		r      exchange.RequestSummary
		colour bool
		want   string
	}{
		{exchange.RequestSummary{Line: []byte("GET /a?b=c HTTP/1.1"), Status: 200, Bytes: 12, Took: 1234567}, false, "GET /a?b=c 200 12 bytes 1.2ms"},
		{exchange.RequestSummary{Line: []byte("GET /a HTTP/1.0"), Status: 404, Took: 23456}, true, "GET /a \x1b[33m404\x1b[0m 0 bytes 20µs"},
		{exchange.RequestSummary{Line: []byte("POST /\x1b[31m\xe9 HTTP/1.1"), Status: 500, Took: 12 * time.Second}, false, `POST /\x1b[31m\xe9 500 0 bytes 12s`},
		{exchange.RequestSummary{Status: 400, Took: 55 * time.Millisecond}, false, "(no request) 400 0 bytes 55ms"},
	} {
		if got := string(appendAnswered(nil, &tt.r, tt.colour)); got != tt.want+"\n" {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
