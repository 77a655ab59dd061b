package conn

import (
	"fmt"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

const (
	// refusedInARow is how many waiting connections are refused one after the other by the reserve descriptor.
	refusedInARow = 16

	// refusedReads is how often each of them is read from, 4 KiB at a time: a client may send faster than it is read.
	refusedReads = 16
)

// KeepReserve makes the descriptor by which clients are refused when no other is free. Any descriptor will do; a duplicate of
// one that outlives the acceptor is the cheapest.
func (a *Acceptor) KeepReserve(of int) {
	a.reserve, a.reserveOf = -1, of
	if a.openFiles == 0 {
		a.openFiles = system.OpenFiles()
	}
	if fd, err := unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		a.reserve = fd
	}
}

// CloseReserve gives that descriptor back.
func (a *Acceptor) CloseReserve() {
	if a.reserve >= 0 {
		unix.Close(a.reserve)
	}
}

// refuseQueued refuses connections that wait at a listener.
func (a *Acceptor) refuseQueued(listener int) {
	a.CloseReserve()
	var request [4 << 10]byte
	for range refusedInARow {
		fd, _, err := acceptNonblock(listener)
		if err != nil {
			break
		}
		// Closing a socket with unread input would reset the connection, and with it the answer (RFC 9112 §9.6).
		for range refusedReads {
			if n, _ := Receive(fd, request[:]); n <= 0 {
				break
			}
		}
		_, _ = Send(fd, ServiceUnavailable, 0)
		unix.Close(fd)
	}
	a.KeepReserve(a.reserveOf)
}

// The application may close standard input, output and error by a direct system call. The next clients would get their numbers, and what
// is written to the error log.

// aboveStandard returns another descriptor of a connection in the place of fd, which is 0, 1 or 2.
func (a *Acceptor) aboveStandard(fd int) (int, error) {
	a.closed.Store(int32(fd) + 1)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	null, failed := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if failed == nil {
		failed = unix.Dup3(null, fd, 0)
		unix.Close(null)
	}
	if failed != nil { // in a chroot, perhaps
		unix.Close(fd)
	}
	return high, err
}

// standardIntact returns an error if the application has closed standard input, output or error.
func (a *Acceptor) standardIntact() error {
	closed := int(a.closed.Load()) - 1
	for fd := 0; fd <= 2 && closed < 0; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == unix.EBADF {
			closed = fd
		}
	}
	if closed < 0 {
		return nil
	}
	return fmt.Errorf("the application closed descriptor %d, standard %s, which clients must not get", closed, [...]string{"input", "output", "error"}[closed])
}
