package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	golog "log"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
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
// With --error-log-format json, standard error and the file get JSON objects instead. The client, the request id and
// the trace are optional. A Logger is safe for concurrent use.
type Logger struct {
	mu    sync.Mutex
	w     io.Writer
	file  *logfile.Errors // the file from --error-log; nil if the Logger writes to standard error
	look  logfile.Look
	least atomic.Int32
	now   func() time.Time
	line  []byte
	tails map[string][]ctl.Line // last lines, by application; "" for those of this server
	ended []ctl.Line            // last lines of workers that have ended
	lost  int64

	chrooted bool // this process has called chroot(2) and cannot open the path of the file
}

func NewLogger(w io.Writer, conf *settings.Config) *Logger {
	l := &Logger{w: w, now: time.Now, look: lookOf(w)}
	if conf.ErrorLogFormat == "json" {
		l.look = logfile.Object
	}
	l.SetLevel(conf.LogLevel, conf.Server.Debug)
	return l
}

// SetLevel sets the minimum level of lines to write. level has the form of settings.Config.LogLevel, and debug has the
// form of runtime.Config.Debug. If debug is above 0, all lines are written.
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

// TakeLibraries redirects Go's standard logger to l. For example, net/http uses the standard logger to log unexpected
// bytes from an upstream.
func (l *Logger) TakeLibraries() {
	golog.SetFlags(0)
	golog.SetOutput(libraries{l})
}

type libraries struct{ log *Logger }

func (w libraries) Write(line []byte) (int, error) {
	w.log.Log(logfile.Warning, string(bytes.TrimSuffix(line, []byte{'\n'})))
	return len(line), nil
}

// client is an address such as "192.0.2.7:4711", optionally with more about its request (logfile.AboutOf). LogClient
// escapes control characters, so that a client cannot forge lines.
func (l *Logger) LogClient(level logfile.Level, client, text string) {
	if !l.Shows(level) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := logfile.Message{Time: l.now(), Level: level, Text: text, About: logfile.AboutOf(client)}
	if level > logfile.Debug { // debug lines may contain cookies and passwords of clients
		l.keep(&m)
	}
	l.write(&m)
}

// KeepFailure keeps a line about a handler for the status page. Package pybridge has written the line to the log.
func (l *Logger) KeepFailure(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(&logfile.Message{Time: l.now(), Level: logfile.Error, Text: strings.TrimPrefix(text, "error ")})
}

// Relay writes a line of an application with processes of its own, which log in JSON, with the name of the application.
func (l *Logger) Relay(name string, line []byte) {
	m, ok := logfile.ParseObject(string(line))
	if !ok {
		m = logfile.Message{Level: logfile.Info, Text: string(bytes.TrimRight(line, "\r\n"))}
	}
	if m.Traceback != "" {
		m.Traceback += "\n"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Time, m.Application = l.now(), name
	l.keep(&m)
	l.write(&m)
}

// KeepEnded keeps the last lines of a worker that has ended, in addition to those of this process.
func (l *Logger) KeepEnded(lines []ctl.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range lines[max(0, len(lines)-tailLines):] {
		line.Text = line.Text[:min(len(line.Text), tailBytes)]
		l.ended = append(l.ended, line)
	}
	l.ended = slices.Clone(l.ended[max(0, len(l.ended)-tailLines):])
}

// The caller of keep must hold l.mu.
func (l *Logger) keep(m *logfile.Message) {
	l.line = logfile.Plain.Append(l.line[:0], m)
	tail := append(l.tails[m.Application], ctl.Line{At: m.Time.UnixNano(), Text: string(l.line[:min(len(l.line)-1, tailBytes)])})
	if l.tails == nil {
		l.tails = map[string][]ctl.Line{}
	}
	l.tails[m.Application] = tail[max(0, len(tail)-tailLines):]
}

// The caller of write must hold l.mu.
func (l *Logger) write(m *logfile.Message) {
	l.line = l.look.Append(l.line[:0], m)
	w := l.w
	if l.look == logfile.Object && w == io.Writer(os.Stderr) {
		w = pybridge.Stderr{}
	}
	if _, err := w.Write(l.line); err != nil { // a failure to write to standard error cannot be reported anywhere
		l.lost++
	}
}

// tailLines is the number of lines that are kept for the command logs and the status page, of the server and of each
// application. tailBytes limits the length of each line, in bytes.
const (
	tailLines = 100
	tailBytes = 1000
)

// Lines returns the last lines of an application with processes of its own, or all last lines if name is "".
func (l *Logger) Lines(name string) []ctl.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name != "" {
		return slices.Clone(l.tails[name])
	}
	return append(slices.Concat(slices.Collect(maps.Values(l.tails))...), l.ended...)
}

func (l *Logger) Lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Open redirects standard error to the error log in the settings, if any. After each rotation, moved is called.
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
		l.Log(logfile.Error, err.Error())
	}
}

func (l *Logger) redirect(conf *settings.Config, moved func()) error {
	if conf.ErrorLog == "-" {
		return nil
	}
	o := fileOptions(conf, conf.ErrorLog, "error log")
	o.Look = l.look
	file, err := logfile.RedirectErrors(o, moved)
	if err == nil {
		l.w, l.file, l.look = file, file, max(l.look, logfile.Filed)
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
	if l.file != nil || l.look == logfile.Object {
		l.writeLines(process.ExitLines(err))
		if l.file == nil || people == io.Writer(os.Stderr) { // if standard error is the log, the lines were already written
			people = io.Discard
		}
	}
	return process.ExitReport(people, err)
}

func (l *Logger) writeLines(lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range lines {
		about := logfile.About{Exception: pybridge.TakeException()}
		l.write(&logfile.Message{Time: time.Now(), Level: logfile.Error, Text: line, About: about})
	}
}

// Follow opens the file again after it was renamed. If the supervisor has opened the new file for a worker, files
// contains it.
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
// the rotation. At the latest, they notice it when they reopen the logs.
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
		if r.NoLine || !l.Shows(logfile.Info) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.look == logfile.Object {
			text := appendAnswered(nil, r, false)
			l.write(&logfile.Message{Time: l.now(), Level: logfile.Info, Text: string(text[:len(text)-1])})
			return
		}
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
	dst = logfile.AppendPrintable(dst, string(line))
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

func lookOf(w io.Writer) logfile.Look {
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			return lookAs(st.Sys().(*syscall.Stat_t))
		}
	}
	return logfile.Plain
}

func lookAs(st *syscall.Stat_t) logfile.Look {
	if os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino) {
		return logfile.Journal
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFCHR && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		return logfile.Colored
	}
	return logfile.Plain
}

// LookAs formats lines for the file with descriptor fd instead of descriptor 2. While the application loads, descriptor
// 2 is a pipe to the supervisor, and fd is the actual standard error.
func (l *Logger) LookAs(fd int) {
	var st syscall.Stat_t
	if l.look != logfile.Object && syscall.Fstat(fd, &st) == nil {
		l.look = lookAs(&st)
	}
}

// Look must be called after the Logger was opened.
func (l *Logger) Look() logfile.Look { return l.look }

func (l *Logger) Colors() bool { return lookOf(l.People()) == logfile.Colored }
