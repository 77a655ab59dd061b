package system

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive and Send work on a socket without blocking. Unlike the functions of syscall, they do not announce the system
// call to Go's scheduler: each announcement after an idle time would wake Go's monitor thread, which costs more than
// the call.

// Receive reads into in, and descriptors into oob, which may be empty. The error is EAGAIN if there is nothing to read.
func Receive(fd int, dst, oob []byte) (n, oobn, flags int, err error) {
	iov := unix.Iovec{Base: unsafe.SliceData(dst)}
	iov.SetLen(len(dst))
	msg := unix.Msghdr{Iov: &iov, Control: unsafe.SliceData(oob)}
	msg.SetIovlen(1)
	msg.SetControllen(len(oob))
	for {
		r, _, e := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)),
			unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		switch e {
		case 0:
			return int(r), int(msg.Controllen), int(msg.Flags), nil
		case unix.EINTR:
		default:
			return 0, 0, 0, e
		}
	}
}

// Send writes text, or as many bytes as a stream has room for. The error is EAGAIN if the socket has no room.
func Send(fd int, text []byte) (n int, err error) {
	for {
		r, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(text))),
			uintptr(len(text)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}
