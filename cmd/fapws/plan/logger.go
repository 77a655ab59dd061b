package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	golog "log"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Logger is where a process writes errors. It writes lines: to people, on standard error, such as
//
//	2026-01-31 15:04:05.123 warning text
//
// and to the file of --error-log, which takes the place of standard error, in the form of Apache's error log,
//
//	[Sat Jan 31 15:04:05.123456 2026] [warning] [client 192.0.2.7:4711] [trace 4bf92f3577b34da6a3ce929d0e0e4736] text
//
// without the client where a line is about none, and without the trace where requests are not traced. It is safe for concurrent use.
type Logger struct {
	mu    sync.Mutex
	w     io.Writer
	file  *logfile.Errors // w; nil: this is standard error
	least atomic.Int32    // a logfile.Level
	now   func() time.Time
	line  []byte
	tail  []ctl.Line // see Lines
	lost  int64      // lines that could not be written

	chrooted bool // this process will not see the path of the file: it is given the next one
}

// Logger returns a logger with the level of the settings.
func (p *Plan) Logger(stderr io.Writer) *Logger {
	return newLogger(stderr, p.Conf.LogLevel, p.Conf.Server.Debug)
}

// newLogger returns a logger that writes to w. level and debug are those of SetLevel.
func newLogger(w io.Writer, level string, debug int) *Logger {
	l := &Logger{w: w, now: time.Now}
	l.SetLevel(level, debug)
	return l
}

// SetLevel sets the least level that is written: level is settings.Config.LogLevel. A debug above 0, that of the event loop
// (runtime.Config.Debug), has all lines written.
func (l *Logger) SetLevel(level string, debug int) {
	least := slices.Index(settings.LogLevels, level)
	if debug > 0 {
		least = int(logfile.Debug)
	}
	l.least.Store(int32(least))
}

// Configure is SetLevel with settings that a reload or the script may have changed, and the same for the rotation of the file.
func (l *Logger) Configure(conf *settings.Config, debug int) {
	l.SetLevel(conf.LogLevel, debug)
	if l.file != nil {
		l.file.SetRotation(conf.LogMaxSize, conf.LogSchedule(), conf.LogKeep)
	}
}

// Shows reports whether lines of a level are written.
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
	l.line = appendLogLine(l.line[:0], now, level, client, text, l.file != nil)
	if level > logfile.Debug { // those lines quote what clients send: cookies, passwords
		l.tail = append(l.tail, ctl.Line{At: now.UnixNano(), Text: string(l.line[:min(len(l.line)-1, tailBytes)])})
		l.tail = l.tail[max(0, len(l.tail)-tailLines):]
	}
	if _, err := l.w.Write(l.line); err != nil { // it cannot be reported when standard error is gone
		l.lost++
	}
}

// tailLines is how many lines are kept for the status page, and tailBytes how much of each.
const (
	tailLines = 100
	tailBytes = 1000
)

// Lines returns the last lines, the oldest first, without those for debugging.
func (l *Logger) Lines() []ctl.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tail)
}

// Lost returns the number of lines that could not be written.
func (l *Logger) Lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func appendLogLine(dst []byte, now time.Time, level logfile.Level, client, text string, file bool) []byte {
	client, trace := http1.UnnameTrace(client)
	at, rank, about, traced := "2006-01-02 15:04:05.000 ", "%s ", "client %s: ", "trace %s: "
	if file {
		at, rank, about, traced = "[Mon Jan 02 15:04:05.000000 2006] ", "[%s] ", "[client %s] ", "[trace %s] "
	}
	dst = fmt.Appendf(now.AppendFormat(dst, at), rank, level)
	if client != "" {
		dst = fmt.Appendf(dst, about, client)
	}
	if trace != "" {
		dst = fmt.Appendf(dst, traced, trace)
	}
	return append(appendPrintable(dst, text), '\n')
}

// appendPrintable appends text with its control characters, those of Unicode too, as in Go.
func appendPrintable(dst []byte, text string) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if unicode.IsControl(r) || r == utf8.RuneError && n == 1 {
			quoted := strconv.Quote(text[:n])
			dst = append(dst, quoted[1:len(quoted)-1]...)
		} else {
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}

// Open makes the file of the settings, if they name one, standard error. moved is
// called when the file was rotated.
func (l *Logger) Open(conf *settings.Config, moved func()) error {
	if err := l.redirect(conf, moved); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	return nil
}

// OpenAsWorker is Open for a worker: its supervisor rotates the file, and a worker that
// may not open it goes on with the one that it was given as standard error.
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
		l.w, l.file = file, file
	}
	return err
}

// Redirected reports whether a file has taken the place of standard error.
func (l *Logger) Redirected() bool { return l.file != nil }

// People returns the output that the user of the terminal sees.
func (l *Logger) People() io.Writer {
	if l.file == nil {
		return l.w
	}
	return l.file.Console()
}

// Report writes why the process ends, to people and in the file, a line for each of err, and returns the exit
// code.
func (l *Logger) Report(err error) int {
	people := l.People()
	if l.file != nil {
		for _, line := range process.ExitLines(err) {
			l.file.Write(appendLogLine(nil, time.Now(), logfile.Error, "", line, true))
		}
		if people == io.Writer(os.Stderr) { // the file was there already
			people = io.Discard
		}
	}
	return process.ExitReport(people, err)
}

// Follow opens the file again after it was renamed. files may have the next one, which
// another process has opened. It is safe for concurrent use.
func (l *Logger) Follow(files ...*os.File) {
	switch {
	case l.file == nil:
	case len(files) > 0:
		l.file.FollowTo(files[0])
	case !l.chrooted:
		l.file.Follow()
	}
}

// RotateAll rotates the error log, the access log and those of hosts. Processes that
// write to them notice, at the latest when they are told to reopen. It is safe for concurrent use.
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

// isErrorLog reports whether a path leads to the error log of the settings.
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

// Lost returns the number of lines that the log files have not taken, without those of the error log of the settings (Logger.Lost). It is safe
// for concurrent use.
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
//	15:04:05 GET /path?query 200 1234 bytes 1.2ms
//
// in colours where standard error is a terminal. The function must be called on the event loop.
func (l *Logger) Requests() func(*logfile.Entry) {
	colour := sync.OnceValue(func() bool { return wantsColour(os.Stderr) }) // it is a pipe until all is loaded
	return func(r *logfile.Entry) {
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
	if colour { // green, cyan, yellow or red (ECMA-48 §8.3.117, SGR)
		paint, plain = fmt.Sprintf("\x1b[%dm", cmp.Or(map[int]int{2: 32, 3: 36, 4: 33}[r.Status/100], 31)), "\x1b[0m"
	}
	return fmt.Appendf(dst, " %s%d%s %d bytes %s\n", paint, r.Status, plain, r.BytesSent, rounded(r.Duration))
}

// rounded leaves two digits of a duration.
func rounded(d time.Duration) time.Duration {
	unit := 10 * time.Microsecond
	for d >= 100*unit {
		unit *= 10
	}
	return d.Round(unit)
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
