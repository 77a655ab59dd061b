package eventloop

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// openEvent makes an eventfd. It is edge-triggered and never read: each write is an event, and it takes
// 2^64 of them to fill it.
func openEvent() (read, write int, err error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return fd, fd, os.NewSyscallError("eventfd", err)
}

func closeEvent(read, _ int) { unix.Close(read) }

var one = binary.NativeEndian.AppendUint64(nil, 1)

func writeEvent(fd int) {
	for {
		if _, err := unix.Write(fd, one); err != unix.EINTR {
			return
		}
	}
}

func (w *wake) drain() {}
