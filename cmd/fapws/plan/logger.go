package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	golog "log"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Logger writes the error log of a process. Lines on standard error look like this:
//
//	2026-01-31 15:04:05.123 +0100 warning text
//
// At a terminal, the lines are colored. For systemd's journal, which adds the time itself, the time is omitted. With
// --error-log, a Logger writes to a file instead, in the format of Apache's error log:
//
//	[Sat Jan 31 15:04:05.123456 2026] [warning] [client 192.0.2.7:4711] [request 7c1e] [trace 4bf9] text
//
// The client, the request id and the trace are optional. A Logger is safe for concurrent use.
type Logger struct {
	mu    sync.Mutex
	w     io.Writer
	file  *logfile.Errors // the file from --error-log; nil if the Logger writes to standard error
	look  logfile.Look
	least atomic.Int32
	now   func() time.Time
	line  []byte
	tail  []ctl.Line
	lost  int64

	chrooted bool // this process has called chroot(2) and cannot open the path of the file
}

func (p *Plan) Logger(stderr io.Writer) *Logger {
	return newLogger(stderr, p.Conf.LogLevel, p.Conf.Server.Debug)
}

func newLogger(w io.Writer, level string, debug int) *Logger {
	l := &Logger{w: w, now: time.Now, look: lookOf(w)}
	l.SetLevel(level, debug)
	return l
}

// SetLevel sets the minimum level of lines to write. The parameter level has the form of settings.Config.LogLevel, and
// debug has the form of runtime.Config.Debug. If debug is above 0, all lines are written.
func (l *Logger) SetLevel(level string, debug int) {
	least := slices.Index(settings.LogLevels, level)
	if debug > 0 {
		least = int(logfile.Debug)
	}
	l.least.Store(int32(least))
}

func (l *Logger) Configure(conf *settings.Config, debug int) {
	l.SetLevel(conf.LogLevel, debug)
	if l.file != nil {
		l.file.SetRotation(conf.LogMaxSize, conf.LogSchedule(), conf.LogKeep)
	}
}

func (l *Logger) Shows(level logfile.Level) bool { return int32(level) >= l.least.Load() }

func (l *Logger) Log(level logfile.Level, text string) { l.LogClient(level, "", text) }

// TakeLibraries redirects Go's standard logger, in which, for example, net/http logs unexpected bytes from an upstream,
// to l.
func (l *Logger) TakeLibraries() {
	golog.SetFlags(0)
	golog.SetOutput(libraries{l})
}

type libraries struct{ log *Logger }

func (w libraries) Write(line []byte) (int, error) {
	w.log.Log(logfile.Warning, string(bytes.TrimSuffix(line, []byte{'\n'})))
	return len(line), nil
}

// LogClient writes a line about a client. The parameter client is an address such as "192.0.2.7:4711", optionally with
// the identity of a request (http1.Unname). LogClient escapes control characters, so that a client cannot forge lines.
func (l *Logger) LogClient(level logfile.Level, client, text string) {
	if !l.Shows(level) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.line = appendLogLine(l.line[:0], now, level, client, text, l.file != nil)
	if level > logfile.Debug { // debug lines may contain cookies and passwords of clients
		l.tail = append(l.tail, ctl.Line{At: now.UnixNano(), Text: string(l.line[:min(len(l.line)-1, tailBytes)])})
		l.tail = l.tail[max(0, len(l.tail)-tailLines):]
	}
	l.line = l.look.Dress(l.line, level)
	if _, err := l.w.Write(l.line); err != nil { // a failure to write to standard error cannot be reported anywhere
		l.lost++
	}
}

// tailLines is the number of lines that are kept for the status page. tailBytes limits the length of each line, in
// bytes.
const (
	tailLines = 100
	tailBytes = 1000
)

func (l *Logger) Lines() []ctl.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tail)
}

func (l *Logger) Lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func appendLogLine(dst []byte, now time.Time, level logfile.Level, client, text string, file bool) []byte {
	client, request, trace := http1.Unname(client)
	at, rank, about := logfile.Stamp, "%s ", "%s %s: "
	if file {
		at, rank, about = "[Mon Jan 02 15:04:05.000000 2006] ", "[%s] ", "[%s %s] "
	}
	dst = fmt.Appendf(now.AppendFormat(dst, at), rank, level)
	for _, one := range [...][2]string{{"client", client}, {"request", request}, {"trace", trace}} {
		if one[1] != "" {
			dst = fmt.Appendf(dst, about, one[0], one[1])
		}
	}
	return append(appendPrintable(dst, text), '\n')
}

// appendPrintable appends text to dst, with control characters escaped as in Go strings.
func appendPrintable(dst []byte, text string) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if logfile.IsControl(r) || r == utf8.RuneError && n == 1 {
			quoted := strconv.Quote(text[:n])
			dst = append(dst, quoted[1:len(quoted)-1]...)
		} else {
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}

// Open redirects standard error to the error log in the settings, if any. After each rotation, the function moved is
// called.
func (l *Logger) Open(conf *settings.Config, moved func()) error {
	if err := l.redirect(conf, moved); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	return nil
}

// OpenAsWorker does the same as Open for a worker, except that the supervisor rotates the file. A worker that lacks the
// permission to open the file keeps its inherited standard error.
func (l *Logger) OpenAsWorker(conf *settings.Config) {
	l.chrooted = conf.Chroot != ""
	if err := l.redirect(conf, nil); err != nil {
		fmt.Fprintln(os.Stderr, "fapws:", err)
	}
}

func (l *Logger) redirect(conf *settings.Config, moved func()) error {
	if conf.ErrorLog == "-" {
		return nil
	}
	file, err := logfile.RedirectErrors(fileOptions(conf, conf.ErrorLog, "error log"), moved)
	if err == nil {
		l.w, l.file, l.look = file, file, logfile.Filed
	}
	return err
}

func (l *Logger) Redirected() bool { return l.file != nil }

func (l *Logger) People() io.Writer {
	if l.file == nil {
		return l.w
	}
	return l.file.Console()
}

func (l *Logger) Report(err error) int {
	people := l.People()
	if l.file != nil {
		for _, line := range process.ExitLines(err) {
			l.file.Write(appendLogLine(nil, time.Now(), logfile.Error, "", line, true))
		}
		if people == io.Writer(os.Stderr) { // if standard error is the log file, the line was already written
			people = io.Discard
		}
	}
	return process.ExitReport(people, err)
}

// Follow opens the file again after it was renamed. If the supervisor has opened the new file for a worker, the
// parameter files contains it.
func (l *Logger) Follow(files ...*os.File) {
	switch {
	case l.file == nil:
	case len(files) > 0:
		l.file.FollowTo(files[0])
	case !l.chrooted:
		l.file.Follow()
	}
}

// RotateAll rotates the error log, the access log and the logs of hosts. All processes that write to these logs notice
// the rotation, at the latest when they reopen the logs.
func (l *Logger) RotateAll(conf *settings.Config, site *SiteConfig) error {
	if l.file != nil {
		l.file.Rotate()
	}
	var all []error
	for _, name := range site.LogFiles(conf) {
		if isErrorLog(conf, name) {
			continue
		}
		o := fileOptions(conf, name, "log")
		o.Report = func(msg string) { l.Log(logfile.Error, msg) }
		all = append(all, logfile.Rotate(o))
	}
	return errors.Join(all...)
}

func isErrorLog(conf *settings.Config, path string) bool {
	if conf.ErrorLog == "-" || path == "-" {
		return false
	}
	a, err := os.Stat(conf.ErrorLog)
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// Lost returns the number of lines that the log files have dropped, and does not include the number from Logger.Lost.
// Lost is safe for concurrent use.
func (l *LogFiles) Lost() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		n += f.Dropped()
	}
	return n
}

// Requests returns a function that writes a line for each request during development:
//
//	2026-01-31 15:04:05.123 +0100 GET /path?query 200 1234 bytes 1.2ms
//
// At a terminal, the line is colored. The returned function must be called on the event loop.
func (l *Logger) Requests() func(*logfile.Entry) {
	return func(r *logfile.Entry) {
		if !l.Shows(logfile.Info) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.line = l.now().AppendFormat(l.line[:0], logfile.Stamp)
		l.line = l.look.Dress(appendAnswered(l.line, r, l.look == logfile.Colored), logfile.Info)
		l.w.Write(l.line)
	}
}

func appendAnswered(dst []byte, r *logfile.Entry, colour bool) []byte {
	line := r.RequestLine
	if at := bytes.LastIndex(line, []byte(" HTTP/1.")); at > 0 {
		line = line[:at]
	}
	if len(line) == 0 {
		line = []byte("(no request)")
	}
	dst = appendPrintable(dst, string(line))
	paint, plain := "", ""
	if colour { // green, cyan, yellow or red, depending on the status (ECMA-48 §8.3.117, SGR)
		paint, plain = fmt.Sprintf("\x1b[%dm", cmp.Or(map[int]int{2: 32, 3: 36, 4: 33}[r.Status/100], 31)), "\x1b[0m"
	}
	return fmt.Appendf(dst, " %s%d%s %d bytes %s\n", paint, r.Status, plain, r.BytesSent, rounded(r.Duration))
}

func rounded(d time.Duration) time.Duration {
	unit := 10 * time.Microsecond
	for d >= 100*unit {
		unit *= 10
	}
	return d.Round(unit)
}
