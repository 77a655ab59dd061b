package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptor returns a descriptor of a connection, which it closes.
func Descriptor(c net.Conn) (int, error) {
	defer c.Close()
	sc, ok := c.(syscall.Conn)
	if !ok {
		return -1, unix.ENOTSOCK
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	if err := rc.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failed
}
