package conn

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// NewDoor makes a door: a pair of sockets through which one server passes connections to another. A connection is one
// end of a new socket pair, which Knock sends through outside. The socket inside is a listener, which accepts the
// connection (ListenerFromFile). A door has no path and no address, so only processes that have inherited outside
// can connect.
func NewDoor() (outside, inside *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	_ = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, doorBuffer) // the kernel takes its maximum
	if outside, err = hold(pair[0], "door"); err == nil {
		inside, err = hold(pair[1], "door")
	}
	return outside, inside, err
}

// doorBuffer is the memory for connections that wait to be accepted, in bytes. Each takes about 800 bytes.
const doorBuffer = 4 << 20

// ErrDoorFull is the error of Knock while too many connections wait to be accepted.
var ErrDoorFull = errors.New("too many connections wait")

// Knock makes a connection through the socket outside of a door, and returns the descriptor of its own end, which is
// non-blocking. Knock is safe for concurrent use.
func Knock(outside *os.File) (fd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	// One byte accompanies the descriptor, because a packet without data looks like the end of the stream.
	err = unix.Sendmsg(int(outside.Fd()), []byte{0}, unix.UnixRights(pair[1]), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil {
		return pair[0], nil
	}
	unix.Close(pair[0])
	// The kernel limits the packets of a socket (EAGAIN), and the descriptors of a user that are on their way
	// (ETOOMANYREFS).
	if err == unix.EAGAIN || err == unix.ETOOMANYREFS {
		return -1, ErrDoorFull
	}
	return -1, os.NewSyscallError("sendmsg", err)
}

// IsDoor reports whether fd is the socket inside of a door.
func IsDoor(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && kind == unix.SOCK_SEQPACKET
}

// Enter accepts a connection from the socket inside of a door. The error is EAGAIN if no connection waits, and also if
// the other socket is closed.
func Enter(inside int) (fd int, err error) {
	var data [1]byte
	var control [32]byte
	n, size, _, _, err := unix.Recvmsg(inside, data[:], control[:], unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return -1, err
	}
	if n == 0 {
		return -1, unix.EAGAIN
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) == 0 {
		return -1, unix.ECONNABORTED // the kernel could not pass the descriptor
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, unix.ECONNABORTED
	}
	return fds[0], unix.SetNonblock(fds[0], true)
}

// FromDoor reports whether connections of ln come through a door.
func (ln *Listener) FromDoor() bool { return ln.door }

// next accepts the next connection of ln.
func (ln *Listener) next(fd int) (accepted int, remote syscall.Sockaddr, err error) {
	if !ln.door {
		return acceptNonblock(fd)
	}
	accepted, err = Enter(fd)
	return accepted, &syscall.SockaddrUnix{}, err
}

func doorFromFile(held *os.File) *Listener {
	return &Listener{file: held, addr: addrOf(&syscall.SockaddrUnix{}), inode: system.Inode(int(held.Fd())), door: true}
}
