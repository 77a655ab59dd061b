package conn

import (
	"syscall"
	"time"
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
func ReadFile(fd int, b []byte, offset int64) (int, error) {
	for {
		n, err := unix.Pread(fd, b, offset)
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

// sendCached is sendfile(2) for a file that is in memory.
func sendCached(to, fd int, offset *int64, count int64) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(sysSendfile, uintptr(to), uintptr(fd), uintptr(unsafe.Pointer(offset)),
			uintptr(count), 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// cached reports whether the byte at the offset of a file is in memory, so that reading it does not wait for the disk.
// cached uses preadv2(2) with RWF_NOWAIT, which some file systems do not support.
func cached(fd int, offset int64) bool {
	var b [1]byte
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(1)
	// preadv2 takes the offset in two words. On 64-bit machines the kernel ignores the upper word.
	n, _, e := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1,
		uintptr(offset), uintptr(offset>>32), unix.RWF_NOWAIT)
	return e == 0 && n == 1
}

// acceptNonblock accepts a connection and makes its descriptor non-blocking and close-on-exec. unix.Accept4 would make
// a second system call, to look up the protocol of the socket.
func acceptNonblock(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}

// GiveUpAfter makes the kernel close a TCP connection if the peer acknowledges no data for the duration d. GiveUpAfter
// ignores errors.
func GiveUpAfter(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
