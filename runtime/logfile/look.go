package logfile

import (
	"bytes"
	"fmt"
)

// Look is the format of the lines of an error log. The constants in C (CORE_PLAIN and others) have the same values.
type Look int32

const (
	Plain Look = iota
	// with colors: at a terminal, unless NO_COLOR is set (no-color.org)
	Colored
	// for systemd's journal, which adds the time and reads a priority (sd-daemon(3))
	Journal
	// for a file, in the format of Apache's error log
	Filed
	// an object of JSON on one line, also in the error logs of hosts (--error-log-format json)
	Object
)

// Stamp is the format of the time at the beginning of a line, except for Filed and Object.
const Stamp = "2006-01-02 15:04:05.000 -0700 "

// paints contains the colors (ECMA-48 §8.3.117, SGR) for each level, and priorities contains the priorities of syslog
// for each level.
var (
	paints     = [...]int{Debug: 2, Info: 36, Warning: 33, Error: 31}
	priorities = [...]int{Debug: 7, Info: 6, Warning: 4, Error: 3}
)

// Dress formats text for the look k. The text must begin with a time in the format Stamp. If text has several lines,
// the format for the journal repeats the priority in each line.
func (k Look) Dress(text []byte, level Level) []byte {
	switch k {
	case Colored:
		at, rest := text[:len(Stamp)], text[len(Stamp):]
		out := fmt.Appendf(nil, "\x1b[2m%s\x1b[0m", at)
		name := []byte(level.String())
		if after, found := bytes.CutPrefix(rest, name); found {
			out, rest = fmt.Appendf(out, "\x1b[%dm%s\x1b[0m", paints[level], name), after
		}
		return append(out, rest...)
	case Journal:
		var out []byte
		for line := range bytes.Lines(text[len(Stamp):]) {
			out = fmt.Appendf(out, "<%d>%s", priorities[level], line)
		}
		return out
	}
	return text
}
