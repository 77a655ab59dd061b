package accesslog

import (
	"time"

	"fapws/runtime/logfile"
)

// Log is an access log. Several may share a file. Its methods may be called from
// any goroutine.
type Log struct {
	file   *logfile.File
	format *Format
	writer writer // used between Begin and End of file
}

// New returns a Log that writes to file, which stays the caller's to close.
func New(file *logfile.File, format *Format) *Log {
	return &Log{file: file, format: format}
}

// Format returns the format, which says what of a request has to be remembered.
func (l *Log) Format() *Format { return l.format }

// Append adds a line. It never waits for the disk and does not allocate: when the
// disk does not keep up, lines are dropped, counted and reported.
func (l *Log) Append(e *Entry) {
	dst, ok := l.file.Begin()
	if !ok {
		return
	}
	l.file.End(l.format.appendLine(dst, e, &l.writer))
}

// writer is the state that the atoms of a format have in addition to the entry.
type writer struct {
	stamp   timestamp
	scratch []byte // of one atom
	value   []byte // of several
}

// timestamp keeps the text of the last second that was asked for.
type timestamp struct {
	second int64
	text   []byte
}

func (s *timestamp) of(t time.Time) []byte {
	if second := t.Unix(); second != s.second || len(s.text) == 0 {
		s.second = second
		s.text = t.AppendFormat(s.text[:0], "02/Jan/2006:15:04:05 -0700")
	}
	return s.text
}
