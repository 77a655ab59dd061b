package plan

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

func TestLoggerFormatsLinesForPeopleAndApache(t *testing.T) {
	const people, apache = "2026-01-31 15:04:05.120 +0000 ", "[Sat Jan 31 15:04:05.120456 2026] "
	for _, tt := range []struct {
		least  string
		debug  int
		level  logfile.Level
		client string
		text   string
		want   string
		file   string
	}{
		{"info", 0, logfile.Info, "", "text", people + "info text\n", apache + "[info] text\n"},
		{"info", 0, logfile.Debug, "", "text", "", ""},
		{"error", 0, logfile.Warning, "", "text", "", ""},
		{"error", 1, logfile.Debug, "", "text", people + "debug text\n", apache + "[debug] text\n"},
		{"info", 0, logfile.Warning, "192.0.2.7:4711", "text",
			people + "warning client 192.0.2.7:4711: text\n", apache + "[warning] [client 192.0.2.7:4711] text\n"},
		{"debug", 0, logfile.Error, "", "a\nb\r\t\x00\x1b[1m\x7fé\u009b\u2028\u202e\xff\ufffd\"\\",
			people + `error a\nb\r\t\x00\x1b[1m\x7fé\u009b\u2028\u202e\xff` + "\ufffd\"\\\n",
			apache + `[error] a\nb\r\t\x00\x1b[1m\x7fé\u009b\u2028\u202e\xff` + "\ufffd\"\\\n"},
	} {
		for _, file := range []bool{false, true} {
			var out bytes.Buffer
			l := NewLogger(&out, &settings.Config{LogLevel: tt.least, Server: runtime.Config{Debug: tt.debug}})
			if file {
				l.look = logfile.Filed
			}
			l.now = func() time.Time { return time.Date(2026, 1, 31, 15, 4, 5, 120456e3, time.UTC) }
			l.LogClient(tt.level, tt.client, tt.text)
			want := tt.want
			if file {
				want = tt.file
			}
			checktest.Equalf(t, out.String(), want, "%+v", tt)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLoggerCountsLostLines(t *testing.T) {
	l := NewLogger(brokenWriter{}, &settings.Config{LogLevel: "info"})
	l.Log(logfile.Error, "one")
	l.Log(logfile.Debug, "not shown")
	l.Log(logfile.Info, "two")
	checktest.Equalf(t, l.Lost(), 2, "lines")
}

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
