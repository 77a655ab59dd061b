package logfile

import (
	"sync/atomic"
	"time"
)

// Level is the severity of a log line.
type Level int8

// The levels, the least severe first.
const (
	Debug Level = iota
	Info
	Warning
	Error
)

// String returns the word in a line of the log.
func (v Level) String() string { return [...]string{"debug", "info", "warning", "error"}[v] }

// Seldom bounds the log lines that clients can cause, as often as they like. The zero value is ready, and safe for concurrent use.
type Seldom struct{ last atomic.Int64 } // nanoseconds since 1970

// Now reports whether a line may be written now. Then it is the one of this second.
func (s *Seldom) Now() bool { return s.Once(time.Second) }

// Once reports whether a line may be written now. Then it is the only one for the time.
func (s *Seldom) Once(a time.Duration) bool {
	now := time.Now().UnixNano()
	last := s.last.Load()
	if since := now - last; since >= 0 && since < int64(a) { // else the clock was set back
		return false
	}
	return s.last.CompareAndSwap(last, now)
}
