package conn

import (
	"fmt"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

const (
	// refusedInARow limits the waiting connections that get 503 through the reserve descriptor in one turn of the loop.
	refusedInARow = 16

	// refusedReads limits the reads of 4 KiB from each refused connection, because a client may send faster than the
	// loop reads.
	refusedReads = 16
)

// KeepReserve makes the reserve descriptor by duplicating an open descriptor. The open descriptor must stay open as
// long as the acceptor exists. If no descriptor is free, refuseQueued closes the reserve descriptor and can then accept
// a connection.
func (a *Acceptor) KeepReserve(count int) {
	a.reserve, a.reserveOf = -1, count
	if a.openFiles == 0 {
		a.openFiles = system.OpenFiles()
	}
	if fd, err := unix.FcntlInt(uintptr(count), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		a.reserve = fd
	}
}

func (a *Acceptor) CloseReserve() {
	if a.reserve >= 0 {
		unix.Close(a.reserve)
	}
}

func (a *Acceptor) refuseQueued(listener int) {
	a.CloseReserve()
	var request [4 << 10]byte
	for range refusedInARow {
		fd, _, err := acceptNonblock(listener)
		if err != nil {
			break
		}
		// Closing a socket with unread input would reset the connection before the client reads the response (RFC 9112
		// §9.6).
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

// The application can close standard input, output or error with a system call. The next client's socket would then get
// the number of the closed descriptor, and the client would receive the error log.

// aboveStandard replaces fd, which is 0, 1 or 2, by a higher descriptor and opens /dev/null as fd.
func (a *Acceptor) aboveStandard(fd int) (int, error) {
	a.closed.Store(int32(fd) + 1)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	null, failed := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if failed == nil {
		failed = unix.Dup3(null, fd, 0)
		unix.Close(null)
	}
	if failed != nil {
		unix.Close(fd)
	}
	return high, err
}

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
	return fmt.Errorf("the application closed descriptor %d, standard %s, which clients must not get", closed,
		[...]string{"input", "output", "error"}[closed])
}
