package netio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive is recv(2). It returns 0 and no error at the end of the stream, and unix.EAGAIN if nothing has come.
func Receive(fd int, b []byte) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return -1, e
		}
	}
}

// Send is send(2) with flags (unix.MSG_MORE or 0). It returns unix.EAGAIN if there is no room.
func Send(fd int, b []byte, flags uintptr) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT|flags, 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Broken reports whether the kernel knows that a connection is broken, not only shut down. A later system call still
// returns the error.
func Broken(fd int) bool {
	state := [1]unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(state[:], 0)
	return err == nil && n > 0 && state[0].Revents&unix.POLLERR != 0
}

// Ended reports whether the peer has shut down its side, also if the end has not been read yet. On systems other than Linux it is
// false until then.
func Ended(fd int) bool {
	state := [1]unix.PollFd{{Fd: int32(fd), Events: PollEnd}}
	n, err := unix.Poll(state[:], 0)
	return err == nil && n > 0 && state[0].Revents&PollEnd != 0
}

// ResetOnClose makes close send RST: the client sees a broken connection, and the kernel drops the bytes that it still holds for it.
func ResetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
