//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package eventloop

import (
	"os"

	"golang.org/x/sys/unix"
)

// openEvent makes a pipe. A full one need not be written to: it is an event already.
func openEvent() (read, write int, err error) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		return -1, -1, os.NewSyscallError("pipe", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			closeEvent(fds[0], fds[1])
			return -1, -1, os.NewSyscallError("fcntl", err)
		}
	}
	return fds[0], fds[1], nil
}

func closeEvent(read, write int) {
	unix.Close(read)
	unix.Close(write)
}

var one = []byte{1}

func writeEvent(fd int) {
	for {
		if _, err := unix.Write(fd, one); err != unix.EINTR {
			return
		}
	}
}

func (w *wake) drain() {
	var b [512]byte
	for {
		n, err := unix.Read(w.fd, b[:])
		if n < len(b) && err != unix.EINTR {
			return
		}
	}
}
