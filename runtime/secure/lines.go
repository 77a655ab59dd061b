package secure

import (
	"time"

	"fapws/runtime/loglevel"
)

// lines bounds the lines in the error log, which hostile clients could fill.
type lines struct {
	since   int64 // when counting began
	n       int
	omitted int
}

const (
	// mostLines may be written in linesPeriod.
	mostLines   = 10
	linesPeriod = int64(10 * time.Second)
)

// Report writes a line about TLS and a client to the error log, unless there are too many.
func (s *Server) Report(level loglevel.Level, client, line string) {
	l, now := &s.lines, s.set.Now()
	if now-l.since >= linesPeriod {
		if l.omitted > 0 {
			s.set.Log(loglevel.Info, "%d more lines about TLS were left out", l.omitted)
		}
		*l = lines{since: now}
	}
	if l.n++; l.n > mostLines {
		l.omitted++
		return
	}
	s.LogClient(level, client, line)
}
