package netio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Vector is the memory for a sendmsg(2) of up to three pieces. Its zero value is ready.
type Vector struct {
	msg unix.Msghdr
	iov [3]unix.Iovec
}

// Send is sendmsg(2). It returns unix.EAGAIN if there is no room.
func (v *Vector) Send(fd int, pieces ...[]byte) (int, error) {
	k := 0
	for _, b := range pieces {
		if len(b) > 0 {
			v.iov[k].Base = unsafe.SliceData(b)
			v.iov[k].SetLen(len(b))
			k++
		}
	}
	v.msg = unix.Msghdr{Iov: &v.iov[0]}
	v.msg.SetIovlen(k)
	defer clear(v.iov[:])
	return sendMessage(fd, &v.msg)
}

// SendVector is sendmsg(2) of any number of pieces that the kernel allows. It returns unix.EAGAIN if there is no room.
func SendVector(fd int, pieces []unix.Iovec) (int, error) {
	msg := unix.Msghdr{Iov: unsafe.SliceData(pieces)}
	msg.SetIovlen(len(pieces))
	return sendMessage(fd, &msg)
}

func sendMessage(fd int, msg *unix.Msghdr) (int, error) {
	for {
		n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}
