package plan

import (
	"bytes"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"fapws/runtime/logfile"
	"fapws/runtime/sites"
)

// Requests returns a function that writes a line for each request during development:
//
//	15:04:05 GET /path?query 200 1234 bytes 1.2ms
//
// in colours where standard error is a terminal. To be called on the loop.
func (l *Logger) Requests() func(*sites.RequestSummary) {
	colour := sync.OnceValue(func() bool { return wantsColour(os.Stderr) }) // it is a pipe until all is loaded
	return func(r *sites.RequestSummary) {
		if !l.Shows(logfile.Info) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.line = l.now().AppendFormat(l.line[:0], "15:04:05 ")
		l.line = appendAnswered(l.line, r, colour())
		l.w.Write(l.line)
	}
}

func appendAnswered(dst []byte, r *sites.RequestSummary, colour bool) []byte {
	line := r.Line
	if at := bytes.LastIndex(line, []byte(" HTTP/1.")); at > 0 {
		line = line[:at]
	}
	if len(line) == 0 {
		line = []byte("(no request)")
	}
	dst = appendVisible(dst, line)
	dst = append(dst, ' ')
	paint, plain := "", ""
	if colour {
		paint, plain = statusColour(r.Status), "\x1b[0m"
	}
	dst = append(dst, paint...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, plain...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.Bytes, 10)
	dst = append(dst, " bytes "...)
	dst = append(dst, rounded(r.Took).String()...)
	return append(dst, '\n')
}

// appendVisible appends text of a client without control characters for a terminal.
func appendVisible(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	for _, c := range text {
		if c < ' ' || c >= 0x7f {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// statusColour is green, cyan, yellow or red (ECMA-48 §8.3.117, SGR).
func statusColour(status int) string {
	switch status / 100 {
	case 2:
		return "\x1b[32m"
	case 3:
		return "\x1b[36m"
	case 4:
		return "\x1b[33m"
	}
	return "\x1b[31m"
}

// rounded leaves two or three digits of a duration.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}

// wantsColour reports whether f is a terminal whose user has not said NO_COLOR
// (no-color.org).
func wantsColour(f *os.File) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&fs.ModeCharDevice != 0
}
