package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/settings"
	"fapws/runtime"
	"fapws/runtime/logfile"
)

// errorLog is where a process writes what goes wrong: standard error, or the file
// that has taken its place. The zero value is the former.
type errorLog struct {
	file  *logfile.Errors // nil: standard error
	caged bool            // this process will not see the path: it is given the next file
}

// open makes the file of the settings, if they name one, standard error. moved is
// called when it was rotated; nil: another process does that, and tells.
func (e *errorLog) open(conf *settings.Config, p *parent, moved func()) (err error) {
	if conf.ErrorLog == "-" || p != nil && p.stderr >= 0 { // the supervisor hears what such a worker says, and writes it
		return nil
	}
	o := fileOptions(conf, conf.ErrorLog, "error log")
	e.caged = conf.Chroot != "" && p != nil
	if e.file, err = logfile.RedirectErrors(o, moved); err != nil {
		if p != nil { // it may not, and has the one it was given
			e.file = nil
			fmt.Fprintln(os.Stderr, "fapws:", err)
			return nil
		}
		return exit.NotStarted("cannot write the %v", err)
	}
	return nil
}

// logger returns a logger that writes there.
func (e *errorLog) logger(stderr io.Writer, conf *settings.Config) *logger {
	if e.file == nil {
		return newLogger(stderr, conf.LogLevel, conf.LoopDebug)
	}
	l := newLogger(e.file, conf.LogLevel, conf.LoopDebug)
	l.file = true
	return l
}

// people is where those look who have started the server.
func (e *errorLog) people(stderr io.Writer) io.Writer {
	if e.file == nil {
		return stderr
	}
	return e.file.Console()
}

// last says why the process ends, to people and in the file.
func (e *errorLog) last(code int, err error) (int, error) {
	if err == nil || e.file == nil {
		return code, err
	}
	return e.report(err), nil
}

func (e *errorLog) report(err error) int {
	if line := err.Error(); line != "" {
		e.file.Write(appendLogLine(nil, time.Now(), runtime.LevelError, "", line, true))
	}
	if people := e.file.Console(); people != io.Writer(os.Stderr) {
		return exit.Report(people, err)
	}
	return exit.Report(io.Discard, err)
}

// follow is for who has renamed the file. files may have the next one, of a process that
// has opened it. Any goroutine.
func (e *errorLog) follow(files ...*os.File) {
	switch {
	case e.file == nil:
	case len(files) > 0:
		e.file.FollowTo(files[0])
	case !e.caged:
		e.file.Follow()
	}
}

// rotateAll rotates the error log, the access log and those of hosts. Processes that
// write to them notice, at the latest when they are told to reopen. Any goroutine.
func (e *errorLog) rotateAll(conf *settings.Config, hosts []string, log *logger) error {
	if e.file != nil {
		e.file.Rotate()
	}
	var all []error
	for _, name := range append([]string{conf.AccessLog}, hosts...) {
		if name == off || isErrorLog(conf, name) {
			continue
		}
		o := fileOptions(conf, name, "log")
		o.Report = func(msg string) { log.log(runtime.LevelError, msg) }
		all = append(all, logfile.Rotate(o))
	}
	return errors.Join(all...)
}

// isErrorLog says whether a path leads to the error log of the settings.
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
