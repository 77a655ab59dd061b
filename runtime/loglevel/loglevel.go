package loglevel

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
