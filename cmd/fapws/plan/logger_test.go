package plan

import (
	"bytes"
	"testing"
	"time"

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
			l := newLogger(&out, tt.least, tt.debug)
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
