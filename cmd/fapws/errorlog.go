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
// called when the file was rotated.
func (e *errorLog) open(conf *settings.Config, moved func()) error {
	if err := e.redirect(conf, moved); err != nil {
		return exit.NotStarted("cannot write the %v", err)
	}
	return nil
}

// openAsWorker is open for a worker: its supervisor rotates the file, and a worker that
// may not open it goes on with the one that it was given as standard error.
func (e *errorLog) openAsWorker(conf *settings.Config) {
	e.caged = conf.Chroot != ""
	if err := e.redirect(conf, nil); err != nil {
		fmt.Fprintln(os.Stderr, "fapws:", err)
	}
}

func (e *errorLog) redirect(conf *settings.Config, moved func()) error {
	if conf.ErrorLog == "-" {
		return nil
	}
	file, err := logfile.RedirectErrors(fileOptions(conf, conf.ErrorLog, "error log"), moved)
	if err == nil {
		e.file = file
	}
	return err
}

// redirected reports whether a file has taken the place of standard error.
func (e *errorLog) redirected() bool { return e.file != nil }

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

// report writes why the process ends, to people and in the file, and returns the exit
// code.
func (e *errorLog) report(stderr io.Writer, err error) int {
	if e.file == nil {
		return exit.Report(stderr, err)
	}
	if line := err.Error(); line != "" {
		e.file.Write(appendLogLine(nil, time.Now(), runtime.LevelError, "", line, true))
	}
	if people := e.file.Console(); people != io.Writer(os.Stderr) {
		return exit.Report(people, err)
	}
	return exit.Report(io.Discard, err)
}

// follow opens the file again after it was renamed. files may have the next one, which
// another process has opened. It is safe for concurrent use.
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
