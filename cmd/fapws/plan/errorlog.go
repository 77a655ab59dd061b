package plan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// ErrorLog is where a process writes errors: standard error, or the file that has taken its place. The zero value is
// the former.
type ErrorLog struct {
	file     *logfile.Errors // nil: standard error
	chrooted bool            // this process will not see the path: it is given the next file
}

// Open makes the file of the settings, if they name one, standard error. moved is
// called when the file was rotated.
func (e *ErrorLog) Open(conf *settings.Config, moved func()) error {
	if err := e.redirect(conf, moved); err != nil {
		return process.ExitNotStarted("cannot write the %v", err)
	}
	return nil
}

// OpenAsWorker is open for a worker: its supervisor rotates the file, and a worker that
// may not open it goes on with the one that it was given as standard error.
func (e *ErrorLog) OpenAsWorker(conf *settings.Config) {
	e.chrooted = conf.Chroot != ""
	if err := e.redirect(conf, nil); err != nil {
		fmt.Fprintln(os.Stderr, "fapws:", err)
	}
}

func (e *ErrorLog) redirect(conf *settings.Config, moved func()) error {
	if conf.ErrorLog == "-" {
		return nil
	}
	file, err := logfile.RedirectErrors(fileOptions(conf, conf.ErrorLog, "error log"), moved)
	if err == nil {
		e.file = file
	}
	return err
}

// Redirected reports whether a file has taken the place of standard error.
func (e *ErrorLog) Redirected() bool { return e.file != nil }

// Logger returns a logger that writes there.
func (e *ErrorLog) Logger(stderr io.Writer, conf *settings.Config) *Logger {
	if e.file == nil {
		return NewLogs(stderr, conf.LogLevel, conf.LoopDebug)
	}
	l := NewLogs(e.file, conf.LogLevel, conf.LoopDebug)
	l.file = true
	return l
}

// People returns the output that the user of the terminal sees.
func (e *ErrorLog) People(stderr io.Writer) io.Writer {
	if e.file == nil {
		return stderr
	}
	return e.file.Console()
}

// Report writes why the process ends, to people and in the file, a line for each of err, and returns the exit
// code.
func (e *ErrorLog) Report(stderr io.Writer, err error) int {
	if e.file == nil {
		return process.ExitReport(stderr, err)
	}
	for _, line := range process.ExitLines(err) {
		e.file.Write(appendLogLine(nil, time.Now(), logfile.Error, "", line, true))
	}
	if people := e.file.Console(); people != io.Writer(os.Stderr) {
		return process.ExitReport(people, err)
	}
	return process.ExitReport(io.Discard, err)
}

// Follow opens the file again after it was renamed. files may have the next one, which
// another process has opened. It is safe for concurrent use.
func (e *ErrorLog) Follow(files ...*os.File) {
	switch {
	case e.file == nil:
	case len(files) > 0:
		e.file.FollowTo(files[0])
	case !e.chrooted:
		e.file.Follow()
	}
}

// RotateAll rotates the error log, the access log and those of hosts. Processes that
// write to them notice, at the latest when they are told to reopen. It is safe for concurrent use.
func (e *ErrorLog) RotateAll(conf *settings.Config, hosts []string, log *Logger) error {
	if e.file != nil {
		e.file.Rotate()
	}
	var all []error
	for _, name := range append([]string{conf.AccessLog}, hosts...) {
		if name == off || isErrorLog(conf, name) {
			continue
		}
		o := fileOptions(conf, name, "log")
		o.Report = func(msg string) { log.Log(logfile.Error, msg) }
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
