package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/accesslog"
	"fapws/runtime/logfile"
	"fapws/runtime/loglevel"
)

// off is the name of no log file.
const off = "off"

// Files are the log files of a process that serves. Settings that name the same
// file share it.
type Files struct {
	conf *settings.Config
	main *Logger

	writers []hostLog // of error logs of hosts, by number less one; fixed before anything is served

	errors sync.Map // numbers of error logs of hosts, by path; "": logs that are off

	mu    sync.Mutex
	files map[string]*logfile.File // by their absolute paths
}

// Configure must be called before the first file is opened: with the settings, and
// with the logger for problems of the files.
func (l *Files) Configure(conf *settings.Config, main *Logger) { l.conf, l.main = conf, main }

// hostLog takes lines about clients.
type hostLog func(level loglevel.Level, client, line string)

// fileOptions returns the settings of all log files.
func fileOptions(conf *settings.Config, path, name string) logfile.Options {
	if path != "-" {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
	}
	return logfile.Options{
		Path:    path,
		Name:    name,
		MaxSize: conf.LogMaxSize,
		Every:   conf.LogSchedule(),
		Keep:    conf.LogKeep,
		Plain:   slices.Contains(settings.SandboxModes[1:], conf.Sandbox), // the application may write to the directory
		Buffer:  conf.LogBuffer,
		Flush:   conf.LogFlush,
	}
}

// file returns the file at path, which it opens once.
func (l *Files) file(path, name string) (*logfile.File, error) {
	if isErrorLog(l.conf, path) { // which is written without the lock that others wait for
		return nil, fmt.Errorf("%s: %s is the error log", name, path)
	}
	o := fileOptions(l.conf, path, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.files[o.Path]; f != nil {
		return f, nil
	}
	var f *logfile.File
	if name == "error log" {
		o.Flush = min(o.Flush, errorFlush)
		o.Written = func(at time.Time) { l.written(o.Path, o.Every.Next(at), f.Waits) }
	}
	o.Report = func(msg string) { l.main.Log(loglevel.Error, msg) }
	var err error
	f, err = logfile.Open(o)
	if err != nil {
		return nil, err
	}
	if l.files == nil {
		l.files = map[string]*logfile.File{}
	}
	l.files[o.Path] = f
	return f, nil
}

// Access implements site.Logs: it returns an access log at path, or nil if that is off.
// "" stands for the path and the format of the settings.
func (l *Files) Access(path, format string) (*accesslog.Log, error) {
	if path == "" {
		path = l.conf.AccessLog
	}
	if format == "" {
		format = l.conf.AccessLogFormat
	}
	if path == off {
		return nil, nil
	}
	f, err := accesslog.Parse(format)
	if err != nil {
		return nil, err
	}
	file, err := l.file(path, "access log")
	if err != nil {
		return nil, err
	}
	return accesslog.New(file, f), nil
}

// errorFlush is the maximum wait of a line of a host's error log: a person may be looking.
const errorFlush = time.Second

// Errors implements site.Logs. A host that names the error log of the settings has
// that.
func (l *Files) Errors(path string) (func(loglevel.Level, string, string), int, error) {
	if path == "-" || path != off && isErrorLog(l.conf, path) {
		return l.main.LogClient, 0, nil
	}
	if path == off {
		return l.number("", pybridge.ErrorLog{}, func(loglevel.Level, string, string) {})
	}
	file, err := l.file(path, "error log")
	if err != nil {
		return nil, 0, err
	}
	o := fileOptions(l.conf, path, "")
	known := pybridge.ErrorLog{Path: o.Path, MaxSize: o.MaxSize, Write: func(text []byte) {
		file.Write(text)
		file.Flush()
	}}
	if o.Every != (logfile.Schedule{}) {
		known.Until = time.Unix(0, 0) // the first writer checks whether to rotate it
	}
	return l.number(o.Path, known, func(level loglevel.Level, client, line string) {
		if !l.main.Shows(level) {
			return
		}
		if dst, ok := file.Begin(); ok {
			file.End(appendLogLine(dst, time.Now(), level, client, line, true))
		}
	})
}

// number makes an error log known to Python, once.
func (l *Files) number(path string, known pybridge.ErrorLog, write hostLog) (hostLog, int, error) {
	if n, ok := l.errors.Load(path); ok {
		return write, n.(int), nil
	}
	n, err := pybridge.AddErrorLog(known)
	if err != nil {
		return nil, 0, err
	}
	l.errors.Store(path, n)
	l.writers = append(l.writers, write)
	return write, n, nil
}

// Client writes a line about a client to the error log with a number. It is safe for concurrent use.
func (l *Files) Client(number int, level loglevel.Level, client, line string) {
	if number == 0 {
		l.main.LogClient(level, client, line)
		return
	}
	l.writers[number-1](level, client, line)
}

// Path returns the path of the error log with a number, "" for that of the server. Any
// goroutine.
func (l *Files) Path(number int) (path string) {
	if number == 0 {
		return ""
	}
	l.errors.Range(func(at, n any) bool {
		if n.(int) != number {
			return true
		}
		path = at.(string)
		if path == "" {
			path = os.DevNull // it is off
		}
		return false
	})
	return path
}

// written tells Python that its lines were written to an error log, except those that wait.
func (l *Files) written(path string, until time.Time, waits func() bool) {
	if n, ok := l.errors.Load(path); ok {
		pybridge.ErrorLogWritten(n.(int), until, waits)
	}
}

// Reopen opens the files again by their names, after a rotation has renamed them. It is safe for concurrent use.
func (l *Files) Reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		f.Reopen()
	}
}

// Close writes the remaining lines. It is safe for concurrent use, and may be called again.
func (l *Files) Close() {
	pybridge.EndErrorLogs()
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, f := range l.files {
		if err := f.Close(); err != nil {
			l.main.Log(loglevel.Error, err.Error())
		}
		delete(l.files, path)
	}
}
