package conn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll returns the events that are pending on fd, without waiting. The result may include unix.POLLERR and
// unix.POLLHUP.
func poll(fd int, events int16) int16 {
	state := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	if n, err := unix.Poll(state[:], 0); n <= 0 || err != nil {
		return 0
	}
	return state[0].Revents
}

// resetOnClose makes close send RST and discard the bytes that the kernel still holds: the client sees a broken
// connection.
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// ReadFile is pread(2), which can wait for the disk. At the end of the file, ReadFile returns 0 and no error; all
// errors are of type *FileError.
func ReadFile(from int, b []byte, offset int64) (int, error) {
	for {
		n, err := unix.Pread(from, b, offset)
		if err == nil {
			return n, nil
		}
		if err != unix.EINTR {
			return 0, &FileError{"cannot read the file: " + err.Error()}
		}
	}
}

// A FileError means that the server could not read a file that it was sending.
type FileError struct{ text string }

func (e *FileError) Error() string { return e.text }

const MaxPieces = 64

// A vector sends several pieces with one system call. The zero value is ready for use.
type vector struct {
	msg unix.Msghdr
	iov [MaxPieces]unix.Iovec
}

// Send writes pieces with one system call. A piece may be empty. Send returns unix.EAGAIN if the socket is full.
func (v *vector) Send(fd int, pieces ...[]byte) (int, error) {
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
	defer clear(v.iov[:k])
	n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.msg)), unix.MSG_NOSIGNAL|
		unix.MSG_DONTWAIT)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
