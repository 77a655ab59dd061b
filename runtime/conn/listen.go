package conn

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// keepAliveIdle is after how many silent seconds the kernel asks whether a
// client is still there; it finds those that vanished while their response
// (server-sent events, say) has nothing to write.
const keepAliveIdle = 60

// ListenOptions say how sockets are made. None of them touches inherited ones
// but Backlog.
type ListenOptions struct {
	Backlog int         // connections that the kernel queues; 0: as many as the system allows
	File    *SocketFile // of a unix socket; nil: as the process and its umask make it
}

// SocketFile has the attributes of the file of a unix socket.
type SocketFile struct {
	Mode     int // permissions; -1: what umask leaves
	UID, GID int // owner; -1 keeps this process's
}

// Listener is a listening socket, on which a Server accepts. Its methods are safe for concurrent use.
type Listener struct {
	file  *os.File // not in Go's poller, of which each connection would wake a thread
	addr  net.Addr
	inode uint64 // of the socket: see Intact
	made  string // the address if its socket file is to be removed

	// Secure says that its clients speak TLS. It is set before a Server gets the listener.
	Secure bool
}

// Listen makes a listener on "ip:port", ":port", "[::1]:port", "unix:/path",
// "unix:@name" (Linux's abstract names) or "fd://3" (a listening socket that
// this process was started with). A socket file that a dead server left behind
// is replaced; the listener removes the file that it made when it is closed.
// The error is one line; errors.Is tells its cause (unix.EADDRINUSE,
// unix.EACCES ...).
func Listen(addr string, o ListenOptions) (*Listener, error) {
	f, err := ListeningSocket(addr, o)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ln, err := ListenerFromFile(f)
	if err != nil {
		return nil, cannotListen(addr, err)
	}
	ln.made = addr
	return ln, nil
}

// ListenerFromFile makes a listener of a copy of a listening socket, which may be in
// use by other processes. Closing the listener closes the copy, and never
// removes the file of a unix socket.
func ListenerFromFile(f *os.File) (*Listener, error) {
	fd, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	held, err := hold(fd, f.Name())
	if err != nil {
		return nil, err
	}
	fd = int(held.Fd())
	// The application of another process that shares the socket may have called shutdown(2).
	if listening, unknown := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); unknown == nil && listening == 0 {
		err = listen(fd, ListenOptions{})
	}
	at, failed := syscall.Getsockname(fd)
	if err = errors.Join(err, failed); err != nil {
		held.Close()
		return nil, err
	}
	return &Listener{file: held, addr: addrOf(at), inode: system.Inode(fd)}, nil
}

// Addr returns the address.
func (ln *Listener) Addr() net.Addr { return ln.addr }

// Fd returns the descriptor, which the listener closes.
func (ln *Listener) Fd() int { return int(ln.file.Fd()) }

// Queued reports whether a connection waits to be accepted. It makes a system call.
func (ln *Listener) Queued() bool { return poll(ln.Fd(), unix.POLLIN) != 0 }

// Intact returns an error, of one line, if no connection can be accepted: the descriptor was closed or is another file
// now, or was made blocking, so that the event loop would wait for the next client and for nothing else.
func (ln *Listener) Intact() error {
	fd := ln.Fd()
	if system.Inode(fd) != ln.inode {
		return fmt.Errorf("the application closed descriptor %d, which listened on %s", fd, ln.addr)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK == 0 {
		return fmt.Errorf("the application made descriptor %d blocking, which listens on %s", fd, ln.addr)
	}
	return nil
}

// SyscallConn gives access to the descriptor.
func (ln *Listener) SyscallConn() (syscall.RawConn, error) { return ln.file.SyscallConn() }

// Close closes this copy of the socket. The error of a second call is os.ErrClosed.
func (ln *Listener) Close() error {
	if err := ln.file.Close(); err != nil {
		return err
	}
	return RemoveSocketFile(ln.made)
}

// ListeningSocket makes a listening socket at an address as Open takes it, for one process or for several to share. It is made
// with its options, owner and mode before a client can connect. Calling Fd on the file does not make the socket
// blocking. The file of a unix socket is the caller's to remove: see RemoveSocketFile. Errors are as Open's.
func ListeningSocket(addr string, o ListenOptions) (*os.File, error) {
	var fd int
	var err error
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		fd, err = unixSocket(path, o)
	} else if number, ok := strings.CutPrefix(addr, "fd://"); ok {
		fd, err = inheritedSocket(number, o)
	} else {
		fd, err = tcpSocket(addr, o)
	}
	var f *os.File
	if err == nil {
		f, err = hold(fd, addr)
	}
	if err != nil {
		return nil, cannotListen(addr, err)
	}
	return f, nil
}

// hold wraps a descriptor, which it takes over and which does not block from then on, in a File that does not know
// that. One of os.NewFile does, and its Fd, which os/exec calls,
// would make the socket blocking, in all processes that share it: a loop that loses the race for a connection would be stuck.
func hold(fd int, name string) (*os.File, error) {
	defer unix.Close(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	place, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // not a folder: EnterChroot finds no way out by it; nor a unix socket, which a sandbox denies
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(place), name)
	if err := unix.Dup3(fd, place, unix.O_CLOEXEC); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// inheritedSocket takes over a descriptor that this process was started with.
func inheritedSocket(number string, o ListenOptions) (int, error) {
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 0 {
		return -1, errors.New("not a descriptor number")
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case errors.Is(err, unix.EBADF):
		return -1, errors.New("fapws was started without this descriptor")
	case errors.Is(err, unix.ENOTSOCK):
		return -1, errors.New("this descriptor is not a socket")
	case err != nil:
		return -1, err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return -1, err
	}
	switch at.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6, *unix.SockaddrUnix:
	default:
		kind = -1
	}
	if kind != unix.SOCK_STREAM {
		return -1, errors.New("this socket is neither TCP nor a unix stream")
	}
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return -1, errors.New("this socket is not listening")
	}
	unix.CloseOnExec(fd)
	setForAccepted(fd) // a unix socket knows none of that
	if o.Backlog > 0 { // otherwise it keeps what its maker chose
		if err := unix.Listen(fd, o.Backlog); err != nil {
			return -1, err
		}
	}
	return fd, nil
}

// listen lets clients connect.
func listen(fd int, o ListenOptions) error {
	backlog := o.Backlog
	if backlog <= 0 {
		backlog = math.MaxInt32 // the kernel cuts it to net.core.somaxconn
	}
	return unix.Listen(fd, backlog)
}

// SetBacklog changes how many connections the kernel queues for a socket that listens: a listener, or a
// file of Socket. 0 stands for as many as the system allows.
func SetBacklog(ln syscall.Conn, backlog int) {
	if rc, err := ln.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _ = listen(int(fd), ListenOptions{Backlog: backlog}) }) // failing, the old one holds
	}
}

func cannotListen(addr string, err error) error {
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// addrOf returns an address as package net has it.
func addrOf(a syscall.Sockaddr) net.Addr {
	switch a := a.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port, Zone: zoneName(a.ZoneId)}
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	return &net.UnixAddr{Net: "unix"}
}

// zoneName returns the name of an interface, given its number; "" for 0.
func zoneName(id uint32) string {
	if id == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(id))
}

// descriptorOf returns a descriptor of a connection or listener of package net, which it closes.
func descriptorOf(c io.Closer) (int, error) {
	defer c.Close()
	if sc, ok := c.(syscall.Conn); ok {
		return duplicate(sc)
	}
	return -1, unix.ENOTSOCK
}

// duplicate returns another descriptor of a file or socket.
func duplicate(of syscall.Conn) (int, error) {
	rc, err := of.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	if err := rc.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failed
}
