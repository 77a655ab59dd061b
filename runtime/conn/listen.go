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

// keepAliveIdle is the silence after which the kernel probes a connection, in seconds. The probes find clients that
// vanished while the server has nothing to write.
const keepAliveIdle = 60

// ListenOptions are the options of a listening socket. An inherited socket uses only Backlog.
type ListenOptions struct {
	// maximum number of connections in the queue of the kernel; 0 means the system's maximum
	Backlog int
	// owner and mode of a unix socket; nil means the defaults of the process and its umask
	File *SocketFile
	// descriptors of sockets that already listen, by address; Listen uses these sockets first
	Left map[string][]int
}

type SocketFile struct {
	Mode     int // permissions; -1 keeps the permissions that umask allows
	UID, GID int // -1 keeps the owner of the process
}

// The methods of a Listener are safe for concurrent use.
type Listener struct {
	// the listening socket, not registered with Go's poller: the poller would wake a thread for each connection
	file  *os.File
	addr  net.Addr
	inode uint64
	// address of the unix socket whose file Close must remove; "" if Close removes no file
	made string
	door bool // the socket is the inside of a door (NewDoor)

	// If Secure is true, clients must use TLS. Secure must be set before Acceptor.Accept is called.
	Secure bool
}

// Listen makes a listener on "ip:port", ":port", "[::1]:port", "unix:/path", "unix:@name" (an abstract name of Linux)
// or "fd://3" (an inherited listening socket). If a socket file exists but no process listens on it, Listen replaces
// the file. Close removes the socket file that Listen made. The error has one line and wraps its cause, such as
// unix.EADDRINUSE or unix.EACCES.
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

// Leave returns the address with which Listen made ln, and a copy of the socket for a program that replaces this one.
// From then on, Close leaves the file of a unix socket. Leave must not be called after Close.
func (ln *Listener) Leave() (addr string, fd int, err error) {
	fd, err = unix.FcntlInt(uintptr(ln.Fd()), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		addr, ln.made = ln.made, ""
	}
	return addr, fd, err
}

// ListenerFromFile makes a listener from a copy of the listening socket f, which other processes may also use. Closing
// the listener closes the copy and never removes the file of a unix socket.
func ListenerFromFile(f *os.File) (*Listener, error) {
	fd, err := duplicate(f)
	if err != nil {
		return nil, err
	}
	held, err := hold(fd, f.Name())
	if err != nil {
		return nil, err
	}
	if fd = int(held.Fd()); IsDoor(fd) {
		return doorFromFile(held), nil
	}
	// The application of another process that shares the socket may have called shutdown(2).
	if listening, unknown := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); unknown == nil &&
		listening == 0 {
		err = listen(fd, ListenOptions{})
	}
	at, failed := syscall.Getsockname(fd)
	if err = errors.Join(err, failed); err != nil {
		held.Close()
		return nil, err
	}
	return &Listener{file: held, addr: addrOf(at), inode: system.Inode(fd)}, nil
}

func (ln *Listener) Addr() net.Addr { return ln.addr }

func (ln *Listener) Fd() int { return int(ln.file.Fd()) }

// Queued reports, by a system call, whether a connection waits to be accepted.
func (ln *Listener) Queued() bool { return poll(ln.Fd(), unix.POLLIN) != 0 }

// Intact returns a one-line error if the application has closed the descriptor, has opened a different file with its
// number, or has made it blocking. A blocking descriptor would stop the event loop until the next client connects.
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

func (ln *Listener) SyscallConn() (syscall.RawConn, error) { return ln.file.SyscallConn() }

// Close closes this copy of the socket; a second call returns os.ErrClosed.
func (ln *Listener) Close() error {
	if err := ln.file.Close(); err != nil {
		return err
	}
	return RemoveSocketFile(ln.made)
}

// ListeningSocket makes a listening socket that several processes can share. ListeningSocket sets the options, owner
// and mode of the socket before a client can connect. The caller must remove the file of a unix socket
// (RemoveSocketFile).
func ListeningSocket(addr string, o ListenOptions) (*os.File, error) {
	var fd int
	var err error
	if left := o.Left[addr]; len(left) > 0 {
		o.Left[addr] = left[1:]
		fd, err = inheritedSocket(strconv.Itoa(left[0]), o)
	} else if path, ok := strings.CutPrefix(addr, "unix:"); ok {
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

// hold moves fd into an os.File that does not know that fd is non-blocking. Otherwise os.File.Fd, which os/exec calls,
// would switch the socket to blocking mode in all processes that share it, and an event loop could block in accept.
func hold(fd int, name string) (*os.File, error) {
	defer unix.Close(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	// os.NewFile must see a blocking descriptor, so it gets a placeholder that fd then replaces under the same number.
	// The placeholder is an internet socket. EnterChroot would reject the descriptor of a directory, and a sandbox may
	// deny unix sockets.
	place, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
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

func inheritedSocket(number string, o ListenOptions) (int, error) {
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 0 {
		return -1, errors.New("not a descriptor number")
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if kind == unix.SOCK_SEQPACKET && err == nil {
		unix.CloseOnExec(fd)
		return fd, nil // the inside of a door
	}
	switch {
	case errors.Is(err, unix.EBADF):
		return -1, errors.New("fapws was started without this descriptor")
	case errors.Is(err, unix.ENOTSOCK):
		return -1, errors.New("this descriptor is not a socket")
	case err != nil:
		return -1, err
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return -1, err
	}
	if kind != unix.SOCK_STREAM || domain != unix.AF_INET && domain != unix.AF_INET6 && domain != unix.AF_UNIX {
		return -1, errors.New("this socket is neither TCP nor a unix stream")
	}
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return -1, errors.New("this socket is not listening")
	}
	unix.CloseOnExec(fd)
	setForAccepted(fd) // has no effect on a unix socket
	if o.Backlog > 0 {
		if err := unix.Listen(fd, o.Backlog); err != nil {
			return -1, err
		}
	}
	return fd, nil
}

func listen(fd int, o ListenOptions) error {
	backlog := o.Backlog
	if backlog <= 0 {
		backlog = math.MaxInt32 // the kernel limits the backlog to net.core.somaxconn
	}
	return unix.Listen(fd, backlog)
}

// SetBacklog sets how many connections the kernel queues for ln, which is a Listener or the result of ListeningSocket.
// 0 means the system's maximum.
func SetBacklog(ln syscall.Conn, backlog int) {
	if rc, err := ln.SyscallConn(); err == nil {
		// Ignore the error: the old backlog remains.
		_ = rc.Control(func(fd uintptr) { _ = listen(int(fd), ListenOptions{Backlog: backlog}) })
	}
}

func cannotListen(addr string, err error) error {
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// addrOf returns the address of a socket, or nil if the socket is neither for TCP nor a unix socket.
func addrOf(a syscall.Sockaddr) net.Addr {
	switch a := a.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port, Zone: zoneName(a.ZoneId)}
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	return nil
}

func zoneName(id uint32) string {
	if id == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(id))
}

// descriptorOf duplicates the descriptor of c, a connection or listener of package net, closes c, and returns the
// duplicate.
func descriptorOf(c io.Closer) (int, error) {
	defer c.Close()
	if sc, ok := c.(syscall.Conn); ok {
		return duplicate(sc)
	}
	return -1, unix.ENOTSOCK
}

func duplicate(socket syscall.Conn) (int, error) {
	rc, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	if err := rc.Control(func(descriptor uintptr) { fd, failed = unix.FcntlInt(descriptor, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failed
}
