package plan

import (
	"bytes"
	"io"
	golog "log"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Logger writes lines: to people, on standard error, such as
//
//	2026-01-31 15:04:05.123 warning text
//
// and to a file in the form of Apache's error log,
//
//	[Sat Jan 31 15:04:05.123456 2026] [warning] [client 192.0.2.7:4711] [trace 4bf92f3577b34da6a3ce929d0e0e4736] text
//
// without the client where a line is about none, and without the trace where requests are not traced. It is safe for concurrent use.
type Logger struct {
	mu    sync.Mutex
	w     io.Writer
	file  bool         // w is a file
	least atomic.Int32 // a logfile.Level
	now   func() time.Time
	line  []byte
	tail  *Tail // nil: nothing keeps them
	lost  int64 // lines that could not be written
}

func NewLogs(w io.Writer, level string, debug int) *Logger {
	l := &Logger{w: w, now: time.Now}
	l.SetLevel(level, debug)
	return l
}

// SetLevel takes settings.Config's LogLevel and LoopDebug. The output of --debug is
// shown whatever the level.
func (l *Logger) SetLevel(level string, debug int) {
	least := slices.Index(settings.LogLevels, level)
	if debug > 0 {
		least = int(logfile.Debug)
	}
	l.least.Store(int32(least))
}

func (l *Logger) Shows(level logfile.Level) bool { return int32(level) >= l.least.Load() }

// Log writes one line, which is about no client.
func (l *Logger) Log(level logfile.Level, text string) { l.LogClient(level, "", text) }

// TakeLibraries makes l the log of Go's packages, which would write lines of another form to standard error: net/http
// does that when an upstream sends bytes that belong to no request.
func (l *Logger) TakeLibraries() {
	golog.SetFlags(0)
	golog.SetOutput(libraries{l})
}

type libraries struct{ log *Logger }

func (w libraries) Write(line []byte) (int, error) {
	w.log.Log(logfile.Warning, string(bytes.TrimSuffix(line, []byte{'\n'})))
	return len(line), nil
}

// LogClient writes one line about a client, "192.0.2.7:4711", perhaps with a trace (http1.UnnameTrace). Control characters
// are escaped so that a client cannot forge another line.
func (l *Logger) LogClient(level logfile.Level, client, text string) {
	if !l.Shows(level) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.line = appendLogLine(l.line[:0], now, level, client, text, l.file)
	if l.tail != nil && level > logfile.Debug { // those lines quote what clients send: cookies, passwords
		l.tail.add(now, l.line)
	}
	if _, err := l.w.Write(l.line); err != nil { // it cannot be reported when standard error is gone
		l.lost++
	}
}

// Lost returns the number of lines that could not be written.
func (l *Logger) Lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func appendLogLine(dst []byte, now time.Time, level logfile.Level, client, text string, file bool) []byte {
	client, trace := http1.UnnameTrace(client)
	if file {
		dst = now.AppendFormat(dst, "[Mon Jan 02 15:04:05.000000 2006] [")
		dst = append(append(dst, level.String()...), "] "...)
		if client != "" {
			dst = append(append(append(dst, "[client "...), client...), "] "...)
		}
		if trace != "" {
			dst = append(append(append(dst, "[trace "...), trace...), "] "...)
		}
	} else {
		dst = now.AppendFormat(dst, "2006-01-02 15:04:05.000 ")
		dst = append(append(dst, level.String()...), ' ')
		if client != "" {
			dst = append(append(append(dst, "client "...), client...), ": "...)
		}
		if trace != "" {
			dst = append(append(append(dst, "trace "...), trace...), ": "...)
		}
	}
	return append(appendPrintable(dst, text), '\n')
}

// appendPrintable appends text with its control characters, those of Unicode too,
// as in C.
func appendPrintable(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	for i, r := range text {
		switch {
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'x', hex[r>>4], hex[r&15])
		case r >= 0x80 && r < 0xa0:
			dst = append(dst, '\\', 'x', 'c', '2', '\\', 'x', hex[r>>4], hex[r&15])
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"):
			dst = append(dst, '\\', 'x', hex[text[i]>>4], hex[text[i]&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
