package plan

import (
	"errors"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLoggerCountsLostLines(t *testing.T) {
	l := newLogger(brokenWriter{}, "info", 0)
	l.Log(logfile.Error, "one")
	l.Log(logfile.Debug, "not shown")
	l.Log(logfile.Info, "two")
	checktest.Equalf(t, l.Lost(), 2, "lines")
}
