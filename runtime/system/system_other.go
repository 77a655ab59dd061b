//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package system

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPath is the closest to that on Linux.
const openPath = unix.O_RDONLY | unix.O_NONBLOCK

// Socket is as on Linux.
func Socket(family int) (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fd, err = unix.Socket(family, unix.SOCK_STREAM, 0); err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, nil
}

// Socketpair is as on Linux.
func Socketpair(kind int) (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fds, err = unix.Socketpair(unix.AF_UNIX, kind, 0); err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	return fds, err
}

// Replace is as on Linux.
func Replace(to, from int) error { return unix.Dup2(from, to) }

// ReplaceClosing is as on Linux.
func ReplaceClosing(to, from int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	err := unix.Dup2(from, to)
	if err == nil {
		unix.CloseOnExec(to)
	}
	return err
}

// UnnamedFile is as on Linux.
func UnnamedFile(dir string) (fd int, err error) { return unnamed(dir) }

// MemoryFile makes a file on the disk that has lost its name.
func MemoryFile(name string) (fd int, err error) { return unnamed("") }

// ReceiveClosing is no flag here.
const ReceiveClosing = 0

// AwaitExit is as on Linux.
func AwaitExit(pid int) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	var change unix.Kevent_t
	unix.SetKevent(&change, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change.Fflags = unix.NOTE_EXIT
	for {
		if _, err := unix.Kevent(queue, []unix.Kevent_t{change}, make([]unix.Kevent_t, 1), nil); err != unix.EINTR {
			return // it has ended, now or before
		}
	}
}

// ThreadID returns the number of the process: there is none of threads that all systems have.
func ThreadID() int { return os.Getpid() }

// FreeSpace returns how many bytes an unprivileged process can write to the file system of a path. ok is false if the system does
// not say.
func FreeSpace(string) (free int64, ok bool) { return 0, false }
