package conn

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// GiveUpAfter makes the kernel close a TCP connection if the peer acknowledges no data for the duration d. GiveUpAfter
// ignores errors.
func GiveUpAfter(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// setOwnerAndMode sets the owner and the mode of a socket file through a descriptor. If path is no longer a socket, the
// result is an error, and nothing changes. A file that replaces the socket file after open is not changed either.
func setOwnerAndMode(path string, o *SocketFile) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("the file was replaced by another")
	}
	if o.UID >= 0 || o.GID >= 0 {
		if err := unix.Fchownat(fd, "", o.UID, o.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("cannot change its owner: %w", err)
		}
	}
	if o.Mode >= 0 && st.Mode&0o7777 != uint32(o.Mode) {
		if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(o.Mode)); err != nil {
			return fmt.Errorf("cannot change its permissions: %w", err)
		}
	}
	return nil
}

// acceptNonblock accepts a connection and makes its descriptor non-blocking and close-on-exec. unix.Accept4 would make
// a second system call, to look up the protocol of the socket.
func acceptNonblock(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}

// sendCached is sendfile(2) for a file that is in memory.
func sendCached(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(sysSendfile, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(offset)),
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
func cached(from int, offset int64) bool {
	var b [1]byte
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(1)
	// preadv2 takes the offset in two words. On 64-bit machines the kernel ignores the upper word.
	n, _, e := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(from), uintptr(unsafe.Pointer(&iov)), 1,
		uintptr(offset), uintptr(offset>>32), unix.RWF_NOWAIT)
	return e == 0 && n == 1
}
