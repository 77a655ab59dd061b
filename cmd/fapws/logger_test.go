package main

import (
	"bytes"
	"testing"
	"time"

	"fapws/runtime"
)

func TestLogger(t *testing.T) {
	for _, tt := range []struct {
		least string
		debug int
		level runtime.Level
		text  string
		want  string
	}{
		{"info", 0, runtime.LevelInfo, "text", "2026-01-31 15:04:05.120 info text\n"},
		{"info", 0, runtime.LevelDebug, "text", ""},
		{"error", 0, runtime.LevelWarning, "text", ""},
		{"error", 1, runtime.LevelDebug, "text", "2026-01-31 15:04:05.120 debug text\n"},
		{"debug", 0, runtime.LevelError, "a\nb\x1b[1m", "2026-01-31 15:04:05.120 error a?b?[1m\n"},
	} {
		var out bytes.Buffer
		l := newLogger(&out, tt.least, tt.debug)
		l.now = func() time.Time { return time.Date(2026, 1, 31, 15, 4, 5, 120e6, time.UTC) }
		l.log(tt.level, tt.text)
		if out.String() != tt.want {
			t.Errorf("%+v: got %q", tt, out.String())
		}
	}
}
