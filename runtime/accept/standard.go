package accept

import (
	"fmt"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// The application may close standard input, output and error by a direct system call. The next clients would get their numbers, and what
// is written to the error log.

// aboveStandard returns another descriptor of a connection in the place of fd, which is 0, 1 or 2.
func (a *Acceptor) aboveStandard(fd int) (int, error) {
	a.closed.Store(int32(fd) + 1)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	null, failed := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if failed == nil {
		failed = system.Replace(fd, null)
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
