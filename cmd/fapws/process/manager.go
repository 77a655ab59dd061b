package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// Version is set by build.sh.
var Version = "dev"

// Software returns the value of SERVER_SOFTWARE (RFC 3875 §4.1.17).
func Software() string { return "fapws/" + Version }

// A PIDFile is the file with the ID of this process; nil means no file.
type PIDFile struct {
	path string // an absolute path, because the process may change its working directory
	file *os.File
	once sync.Once
}

func line() string { return strconv.Itoa(os.Getpid()) + "\n" }

// WritePIDFile creates the pid file atomically. path must be absolute. If it is a symbolic link, the file replaces the
// link. If the file contains the ID of a different running process, WritePIDFile returns an error. The text of an error
// has one line.
func WritePIDFile(path string) (*PIDFile, error) {
	pid := os.Getpid()
	other, err := owner(path)
	if err != nil {
		return nil, err
	}
	if other != pid && runs(other) {
		return nil, otherRuns(path, other)
	}
	f, err := replace(path)
	if err != nil {
		return nil, cannotWrite(path, err)
	}
	return &PIDFile{path: path, file: f}, nil
}

func otherRuns(path string, pid int) error {
	return fmt.Errorf("pid file %s: process %d is running; stop it, or remove the file if that process is not fapws",
		path, pid)
}

// MayWritePIDFile returns the error that WritePIDFile would return. own reports whether a process is the running server
// itself, whose pid file is no error. If the directory is missing, the error matches fs.ErrNotExist.
func MayWritePIDFile(path string, own func(pid int) bool) error {
	other, err := owner(path)
	switch {
	case err != nil:
		return err
	case runs(other) && !own(other):
		return otherRuns(path, other)
	}
	if err := system.MayCreate(path); err != nil {
		return cannotWrite(path, err)
	}
	return nil
}

func cannotWrite(path string, err error) error {
	return fmt.Errorf("cannot write the pid file %s: %w", path, system.Cause(err))
}

// Left returns the open pid file, or nil without a pid file. The program that replaces this program in the same
// process passes this file to TakeOverPIDFile.
func (f *PIDFile) Left() *os.File {
	if f == nil {
		return nil
	}
	return f.file
}

// TakeOverPIDFile returns the pid file that the previous program in this process has written, perhaps as root. The
// PIDFile becomes the owner of file.
func TakeOverPIDFile(path string, file *os.File) *PIDFile { return &PIDFile{path: path, file: file} }

func replace(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return nil, err
	}
	err = f.Chmod(0o644) // other users may read the ID to signal the process
	if err == nil {
		_, err = f.WriteString(line())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		f.Close()
		return nil, err
	}
	return f, nil
}

// Remove removes the file unless it has been replaced. If the process has given up root and lacks the permission to
// remove the file, Remove empties the file. Remove is safe for concurrent use. Only the first call has an effect.
func (f *PIDFile) Remove() (err error) {
	if f != nil {
		f.once.Do(func() {
			err = f.remove()
			f.file.Close()
		})
	}
	return err
}

func (f *PIDFile) remove() error {
	text, _ := io.ReadAll(io.NewSectionReader(f.file, 0, int64(len(line())+1)))
	mine, _ := f.file.Stat()
	there, err := os.Lstat(f.path)
	if string(text) != line() || errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, there) {
		return nil // the file was removed, or a different process has replaced it
	}
	if err = os.Remove(f.path); errors.Is(err, fs.ErrPermission) {
		err = f.file.Truncate(0)
	}
	if err != nil {
		return fmt.Errorf("cannot remove the pid file %s: %w", f.path, system.Cause(err))
	}
	return nil
}

// owner returns the process ID in a file; 0 if the file is missing, empty or a symbolic link, which will be replaced.
func owner(path string) (pid int, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Mode()&fs.ModeSymlink != 0:
		return 0, nil
	case err == nil && !info.Mode().IsRegular():
		err = errors.New("it exists and is not a file")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if number := strings.TrimSpace(string(text)); number != "" {
		if pid, err = strconv.Atoi(number); err != nil || pid <= 0 || pid > 1<<30 {
			err = errors.New("it does not contain a process ID")
		}
	}
	if err != nil {
		return 0, fmt.Errorf("cannot use the pid file %s: %w", path, system.Cause(err))
	}
	return pid, nil
}

func runs(pid int) bool { return pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

const (
	socketVariable = "NOTIFY_SOCKET"
	usecVariable   = "WATCHDOG_USEC"
	pidVariable    = "WATCHDOG_PID"
)

// Notifier sends messages to a service manager. The methods of Notifier are safe for concurrent use and do nothing for
// a nil Notifier. A failure to send a message should only be logged, as sd_notify(3) recommends.
type Notifier struct {
	address *net.UnixAddr
	// maximum time between calls of Alive, after which the manager restarts the service; 0 means no watchdog
	watchdog time.Duration
}

// TakeNotifier creates a Notifier from environment variables, and removes these variables, because child processes must
// not send messages for the service. TakeNotifier returns nil without a service manager or if the manager's unix
// socket cannot be reached.
func TakeNotifier() *Notifier {
	name, watched, text := os.Getenv(socketVariable), os.Getenv(pidVariable), os.Getenv(usecVariable)
	for _, variable := range []string{socketVariable, usecVariable, pidVariable} {
		os.Unsetenv(variable)
	}
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil
	}
	n := &Notifier{address: &net.UnixAddr{Name: name, Net: "unixgram"}}
	if watched == "" || watched == strconv.Itoa(os.Getpid()) {
		if usec, err := strconv.ParseInt(text, 10, 64); err == nil && usec > 0 && usec < 1<<53 {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return n
}

// Leave restores the environment for a program that replaces this program.
func (n *Notifier) Leave() {
	if n == nil {
		return
	}
	os.Setenv(socketVariable, n.address.Name)
	if n.watchdog > 0 {
		os.Setenv(usecVariable, strconv.FormatInt(n.watchdog.Microseconds(), 10))
	}
}

// Ready reports that the service is ready; status is one line for users, or "".
func (n *Notifier) Ready(status string) error {
	if status == "" {
		return n.send("READY=1")
	}
	return n.send("READY=1", "STATUS="+strings.ReplaceAll(status, "\n", " "))
}

func (n *Notifier) Reloading() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Microseconds(), 10))
}

func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Each call of send connects again, because the manager may have restarted and created a new socket at the same
// address.
func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.address)
	if err != nil {
		return err
	}
	defer c.Close()
	// without a deadline, Write would block if the manager has stopped reading
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = c.Write([]byte(strings.Join(assignments, "\n")))
	return err
}

// Watch notifies the watchdog twice in each watchdog interval, as long as the function ping succeeds in time. Watch
// returns when ctx ends, or at once if there is no watchdog.
func (n *Notifier) Watch(ctx context.Context, ping func(context.Context) error) {
	if n == nil || n.watchdog == 0 {
		return
	}
	every := n.watchdog / 2
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		trial, cancel := context.WithTimeout(ctx, every)
		err := ping(trial)
		cancel()
		if err == nil {
			_ = n.Alive() // errors are ignored: the manager then restarts the service
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// monotonic returns the time in the form that systemd expects: the time since the machine was started.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano()), err
}
