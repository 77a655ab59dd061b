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

// GiveUpAfter makes the kernel break a TCP connection whose peer has acknowledged nothing for that long. Failing, it
// is not bounded.
func GiveUpAfter(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// setKeepIdle says after how many silent seconds the kernel asks whether a TCP connection still exists.
func setKeepIdle(fd, seconds int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
}

func setCongestion(fd int, name string) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
}

// dress gives a socket file its owner and mode. The file is held while that
// is done, so that nothing else can be put in its place.
func dress(path string, o *SocketFile) error {
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

// acceptNonblock takes a connection from a listening socket. It does not block, and no child inherits it. (Package unix would ask
// the kernel for the protocol of each.)
func acceptNonblock(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}

// acknowledge has a connection of TCP acknowledge the received data at once: see TCP_QUICKACK in tcp(7). The kernel waits up to 40 ms for
// data to send it with, and a peer with Nagle's algorithm (RFC 896) does not send more meanwhile. On systems other than Linux it does nothing.
func acknowledge(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

const (
	// pollEnd makes poll(2) report that the peer has shut down its side.
	pollEnd = unix.POLLRDHUP

	// sendMore makes send(2) wait for more before it makes a packet.
	sendMore = unix.MSG_MORE
)

// sendCached is sendfile(2) of a file that is in memory.
func sendCached(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(sysSendfile, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(offset)), uintptr(count), 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// cached reports whether a byte of a file can be read without waiting for the disk: by preadv2(2) with RWF_NOWAIT, which not all file systems know.
func cached(from int, offset int64) bool {
	var b [1]byte
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(1)
	// The offset has two words, on machines of 64 bits too. There the kernel ignores the upper one.
	n, _, e := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(from), uintptr(unsafe.Pointer(&iov)), 1,
		uintptr(offset), uintptr(offset>>32), unix.RWF_NOWAIT)
	return e == 0 && n == 1
}
