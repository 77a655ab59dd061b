package plan

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

const off = "off"

// LogFiles contains the access logs and error logs of the hosts. Logs with the same path share a file.
type LogFiles struct {
	conf *settings.Config
	main *Logger

	// the error logs of hosts; the log with the number n has the index n-1. The slice does not change while the server
	// serves.
	writers []hostLog
	numbers map[string]int

	mu    sync.Mutex
	files map[string]*logfile.File
}

// Configure sets the settings of the logs, and must be called before the first file is opened. main logs errors that
// concern the log files.
func (l *LogFiles) Configure(conf *settings.Config, main *Logger) {
	if l.conf, l.main = conf, main; l.files == nil {
		l.numbers, l.files = map[string]int{}, map[string]*logfile.File{}
	}
}

type hostLog func(level logfile.Level, client, line string)

func fileOptions(conf *settings.Config, path, name string) logfile.Options {
	if path != "-" {
		path = absolute(path)
	}
	return logfile.Options{
		Path:    path,
		Name:    name,
		MaxSize: conf.LogMaxSize,
		Every:   conf.LogSchedule(),
		Keep:    conf.LogKeep,
		Plain:   conf.Sandboxed(),
		Flush:   conf.LogFlush,
	}
}

func (l *LogFiles) open(o logfile.Options) (*logfile.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.files[o.Path]; f != nil {
		return f, nil
	}
	o.Report = func(msg string) { l.main.Log(logfile.Error, msg) }
	f, err := logfile.Open(o)
	if err == nil {
		l.files[o.Path] = f
	}
	return f, err
}

// Access returns an access log, or nil if path is "off". If path or format is "", the setting is used instead.
func (l *LogFiles) Access(path, format string) (*logfile.AccessLog, error) {
	if path = cmp.Or(path, l.conf.AccessLog); path == off {
		return nil, nil
	}
	f, err := logfile.ParseFormat(cmp.Or(format, l.conf.AccessLogFormat))
	if err != nil {
		return nil, err
	}
	if isErrorLog(l.conf, path) {
		return nil, notErrorLog(path)
	}
	file, err := l.open(fileOptions(l.conf, path, "access log"))
	if err != nil {
		return nil, err
	}
	return &logfile.AccessLog{File: file, Format: f}, nil
}

// The error log cannot be used as an access log, too, because it is written without the lock of access logs.
func notErrorLog(path string) error { return fmt.Errorf("access log: %s is the error log", path) }

const errorFlush = time.Second

// Errors returns a function that writes lines about clients to the error log at path. number identifies this log for
// handlers (exchange.Site.ErrorLogNumber); it is 0 for the error log in the settings.
func (l *LogFiles) Errors(path string) (write hostLog, number int, err error) {
	if path == "-" || path != off && isErrorLog(l.conf, path) {
		return l.main.LogClient, 0, nil
	}
	o := fileOptions(l.conf, path, "error log")
	if path == off {
		o.Path = off
	}
	if n, known := l.numbers[o.Path]; known {
		return l.writers[n-1], n, nil
	}
	var file *logfile.File
	python := pybridge.ErrorLog{}
	if path != off {
		python.Path, python.MaxSize = o.Path, o.MaxSize
		python.Write = func(text []byte) {
			file.Write(text)
			file.Flush()
		}
		if o.Every != (logfile.Schedule{}) {
			python.Until = time.Unix(0, 0) // a time in the past makes the first write check whether a rotation is due
		}
	}
	if number, err = pybridge.AddErrorLog(python); err != nil {
		return nil, 0, err
	}
	write = func(logfile.Level, string, string) {}
	if path != off {
		o.Flush = min(o.Flush, errorFlush)
		o.Written = func(now time.Time) { pybridge.ErrorLogWritten(number, o.Every.Next(now), file.Waits) }
		if file, err = l.open(o); err != nil {
			return nil, 0, err
		}
		write = func(level logfile.Level, client, line string) {
			if !l.main.Shows(level) {
				return
			}
			m := logfile.Message{Time: time.Now(), Level: level, Text: line, About: logfile.AboutOf(client)}
			file.Append(func(dst []byte) []byte { return max(l.main.look, logfile.Filed).Append(dst, &m) })
		}
	}
	l.numbers[o.Path] = number
	l.writers = append(l.writers, write)
	return write, number, nil
}

// MayLog returns an error if a server with the settings conf could not write the log at path. name is the prefix of the
// error, such as "access log". If the server changes its user, root creates the logs in root's own directories and
// makes this user their owner (GiveLogs), so this user need not be able to create files there.
func MayLog(conf *settings.Config, path, name string) error {
	if path == "" || path == "-" || path == off {
		return nil
	}
	path = absolute(path)
	dir := filepath.Dir(path)
	var st unix.Stat_t
	_ = unix.Stat(dir, &st)
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS)
	if file, wrong := os.Stat(path); wrong == nil && file.IsDir() {
		err = unix.EISDIR
	} else if given := conf.User != "" && st.Uid == 0; err == nil && !given {
		if err = unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err == unix.ENOENT {
			err = system.MayCreate(path)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, &fs.PathError{Op: "open", Path: path, Err: err})
	}
	return nil
}

// Client writes a line about a client to the error log with the given number, and is safe for concurrent use.
func (l *LogFiles) Client(number int, level logfile.Level, client, line string) {
	if number == 0 {
		l.main.LogClient(level, client, line)
		return
	}
	l.writers[number-1](level, client, line)
}

// Reopen opens the log files again at their paths, after the old files were renamed, and is safe for concurrent use.
func (l *LogFiles) Reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		f.Reopen()
	}
}

// Close is safe for concurrent use and can be called more than once.
func (l *LogFiles) Close() {
	pybridge.EndErrorLogs()
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, f := range l.files {
		if err := f.Close(); err != nil {
			l.main.Log(logfile.Error, err.Error())
		}
		delete(l.files, path)
	}
}

// GiveLogs changes the owner of log files from root to the user of the workers, as nginx does. To rotate the logs, this
// user also needs write permission for the directory of the log files.
func GiveLogs(names []string, to *confine.Identity, log *Logger) {
	for _, name := range names {
		if err := giveLog(name, to); err != nil {
			log.Log(logfile.Warning, fmt.Sprintf("cannot give the log %s to user %d: %v", name, to.UID, err))
		}
	}
}

// giveLog changes the owner of a log file if root owns the file and only root may write to its directory. In a
// directory that the new owner may write to, giveLog only creates a missing file, as that user. Otherwise the user
// could rename files and make root change the owner of a different file.
func giveLog(name string, to *confine.Identity) error {
	if os.Geteuid() != 0 {
		return nil
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	dir, err := system.Open(filepath.Dir(name))
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY |
		unix.O_CLOEXEC
	if st.Uid == uint32(to.UID) {
		restore, err := to.Borrow()
		if err != nil {
			return nil
		}
		defer restore()
		flags |= unix.O_EXCL
	} else if st.Uid != 0 || st.Mode&0o022 != 0 {
		return nil
	}
	fd, err := unix.Openat(dir, filepath.Base(name), flags, 0o640)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || st.Uid != 0 {
		return err
	}
	return unix.Fchown(fd, to.UID, to.GID)
}
