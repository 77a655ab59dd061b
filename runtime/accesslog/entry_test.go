package accesslog

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 7, 4, 12, 0, 0, 0, time.FixedZone("", 2*3600))

func TestLine(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Entry
		want string
	}{
		{"full", Entry{Addr: "192.0.2.7", User: []byte("ann"), Time: noon, RequestLine: []byte("GET /a?b HTTP/1.1"), Status: 200, BytesSent: 12,
			Referer: []byte("http://x/"), UserAgent: []byte("curl/8"), Duration: 1234567 * time.Nanosecond},
			`192.0.2.7 - ann [04/Jul/2026:12:00:00 +0200] "GET /a?b HTTP/1.1" 200 12 "http://x/" "curl/8" 1234`},
		{"nothing known", Entry{Time: noon, Status: 400},
			`- - - [04/Jul/2026:12:00:00 +0200] "-" 400 - "-" "-" 0`},
		{"forged line", Entry{Addr: "::1", Time: noon, RequestLine: []byte("GET / HTTP/1.1"), Status: 200,
			UserAgent: []byte("x\" 200 1\r\n192.0.2.1 - - [")},
			`::1 - - [04/Jul/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 - "-" "x\" 200 1\r\n192.0.2.1 - - [" 0`},
		{"escapes", Entry{Addr: "::1", Time: noon, RequestLine: []byte("\\ \b\t\v\x00\x1b[31m\x7f\xc3\xa9"), Status: 400},
			`::1 - - [04/Jul/2026:12:00:00 +0200] "\\ \b\t\v\x00\x1b[31m\x7f\xc3\xa9" 400 - "-" "-" 0`},
		{"user", Entry{Addr: "::1", User: []byte("a b\n"), Time: noon, Status: 401},
			`::1 - a b\n [04/Jul/2026:12:00:00 +0200] "-" 401 - "-" "-" 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stamp timestamp
			got := string(c.e.appendLine(nil, &stamp))
			if got != c.want+"\n" {
				t.Errorf("got  %s want %s", got, c.want)
			}
			if len(got) > c.e.maxLine() {
				t.Errorf("%d bytes, promised were at most %d", len(got), c.e.maxLine())
			}
		})
	}
}

func TestLongestLineIsCoveredByItsBound(t *testing.T) {
	worst := []byte(strings.Repeat("\x00", 1000))
	e := Entry{Addr: strings.Repeat("f", 60), User: worst, Time: noon, RequestLine: worst, Status: -1 << 62, BytesSent: -1 << 62,
		Referer: worst, UserAgent: worst, Duration: -1 << 62}
	var stamp timestamp
	if got := len(e.appendLine(nil, &stamp)); got > e.maxLine() {
		t.Errorf("%d bytes, promised were at most %d", got, e.maxLine())
	}
}

func TestTimestampFollowsTheClock(t *testing.T) {
	var stamp timestamp
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{noon, "04/Jul/2026:12:00:00 +0200"},
		{noon.Add(999 * time.Millisecond), "04/Jul/2026:12:00:00 +0200"},
		{noon.Add(time.Second), "04/Jul/2026:12:00:01 +0200"},
		{noon, "04/Jul/2026:12:00:00 +0200"},
		{time.Unix(0, 0).UTC(), "01/Jan/1970:00:00:00 +0000"},
	} {
		if got := string(stamp.of(c.at)); got != c.want {
			t.Errorf("%v: got %s", c.at, got)
		}
	}
}
