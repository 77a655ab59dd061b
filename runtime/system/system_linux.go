package system

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket makes a stream socket of a family (unix.AF_INET …) that blocks and that no child inherits.
func Socket(family int) (fd int, err error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// SocketNonblock is Socket, of one that does not block.
func SocketNonblock(family int) (fd int, err error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// Socketpair makes two connected unix sockets of a kind (unix.SOCK_STREAM …) that block and that no child inherits.
func Socketpair(kind int) (fds [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// SocketpairNonblock is Socketpair, of streams that do not block.
func SocketpairNonblock() (fds [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// Pipe makes a pipe whose ends block and that no child inherits.
func Pipe() (fds [2]int, err error) {
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds, err
}

// Accept takes a connection from a listening socket. It does not block, and no child inherits it. (Package unix would ask
// the kernel for the protocol of each.)
func Accept(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}

// Replace makes the descriptor to another one of the same file as from, in one step. Children inherit it.
func Replace(to, from int) error { return unix.Dup3(from, to, 0) }

// ReplaceClosing is Replace. Children do not inherit the descriptor.
func ReplaceClosing(to, from int) error { return unix.Dup3(from, to, unix.O_CLOEXEC) }

// openPath opens a file for its place only.
const openPath = unix.O_PATH

// UnnamedFile makes a file without a name in dir, for reading and writing, that no child inherits.
func UnnamedFile(dir string) (fd int, err error) {
	fd, err = unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil { // some file systems (overlay, NFS) know no O_TMPFILE
		return unnamed(dir)
	}
	return fd, nil
}

// MemoryFile makes a file without a name, in memory, that no child inherits. It may be sealed (memfd_create(2)).
// The name is for /proc.
func MemoryFile(name string) (fd int, err error) {
	return unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
}

// SealSize makes a file of MemoryFile keep its size for good. Writing beyond it fails.
func SealSize(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return err
}

// SealWriting makes a file of MemoryFile keep its contents for good.
func SealWriting(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	return err
}

// ReceiveClosing is a flag of recvmsg(2): children do not inherit what comes by SCM_RIGHTS.
const ReceiveClosing = unix.MSG_CMSG_CLOEXEC

// AwaitExit waits until a child has ended, and leaves it as it is: its number stays its own until it is waited for.
func AwaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// ThreadID returns the kernel's number of the calling thread.
func ThreadID() int { return unix.Gettid() }

// Acknowledge has a connection of TCP acknowledge the received data at once: see TCP_QUICKACK in tcp(7). The kernel waits up to 40 ms for
// data to send it with, and a peer with Nagle's algorithm (RFC 896) does not send more meanwhile. On systems other than Linux it does nothing.
func Acknowledge(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

const (
	// PollEnd makes poll(2) report that the peer has shut down its side.
	PollEnd = unix.POLLRDHUP

	// SendMore makes send(2) wait for more before it makes a packet.
	SendMore = unix.MSG_MORE
)

// SendCached is sendfile(2) of a file that is in memory.
func SendCached(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, _, e := syscall.RawSyscall6(sysSendfile, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(offset)), uintptr(min(count, maxSend)), 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// ReadCached is pread(2) of what is in memory of a file: preadv2(2) with RWF_NOWAIT, which not all file systems know. It returns
// 0 and no error at the end of the file, and unix.EAGAIN if the disk would have to be waited for, or there is an error.
func ReadCached(from int, b []byte, offset int64) (int, error) {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	n, e := readNow(from, &iov, offset)
	if e != 0 {
		return 0, unix.EAGAIN
	}
	return n, nil
}

// Cached reports whether a byte of a file can be read without waiting for the
// disk: preadv2(2) with RWF_NOWAIT, which not all file systems know.
func Cached(from int, offset int64) bool {
	var b [1]byte
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(1)
	n, e := readNow(from, &iov, offset)
	return e == 0 && n == 1
}

// readNow is preadv2(2), which takes the offset in two words, on machines of 64 bits too. There it ignores the upper one.
func readNow(from int, iov *unix.Iovec, offset int64) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_PREADV2, uintptr(from), uintptr(unsafe.Pointer(iov)), 1,
		uintptr(offset), uintptr(offset>>32), unix.RWF_NOWAIT)
	return int(n), e
}
