package runtime

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keepAliveIdle is after how many silent seconds the kernel asks whether a
// client is still there; it finds those that vanished while their response
// (server-sent events, say) has nothing to write.
const keepAliveIdle = 60

// ListenOptions say how sockets are made. None of them touches inherited ones
// but Backlog.
type ListenOptions struct {
	Backlog   int  // connections that the kernel queues; 0: as many as the system allows
	ReusePort bool // TCP sockets allow others of Sockets at their address, even if there is but one
	Mode      int  // permissions of a unix socket's file; -1: what umask leaves
	UID, GID  int  // owner of a unix socket's file; -1 keeps this process's
}

// DefaultListenOptions ask for nothing special.
var DefaultListenOptions = ListenOptions{Mode: -1, UID: -1, GID: -1}

// Listen makes a listener on "ip:port", ":port", "[::1]:port", "unix:/path",
// "unix:@name" (Linux's abstract names) or "fd://3" (a listening socket that
// this process was started with). A socket file that a dead server left behind
// is replaced; the listener removes the file that it made when it is closed.
// The error is one line; errors.Is tells its cause (unix.EADDRINUSE,
// unix.EACCES ...).
func Listen(addr string, o ListenOptions) (net.Listener, error) {
	files, err := Sockets(addr, 1, o)
	if err != nil {
		return nil, err
	}
	defer files[0].Close()
	ln, err := FromFile(files[0])
	if err != nil {
		return nil, cannotListen(addr, err)
	}
	if u, ok := ln.(*net.UnixListener); ok && strings.HasPrefix(addr, "unix:") {
		u.SetUnlinkOnClose(true)
	}
	return ln, nil
}

// Sockets makes the listening sockets for n processes at an address as Listen
// takes it: for TCP n sockets among which the kernel deals out connections
// (SO_REUSEPORT), otherwise one for all to share. With port 0 the kernel's
// choice for the first is the port of all. Each is made with its options, owner
// and mode before anybody can connect. Calling Fd on the files does not make the
// sockets blocking. The file of a unix socket is the caller's to remove: see
// RemoveSocketFile. Errors are as Listen's.
func Sockets(addr string, n int, o ListenOptions) (files []*os.File, err error) {
	var fds []int
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		fds, err = unixSocket(path, o)
	} else if number, ok := strings.CutPrefix(addr, "fd://"); ok {
		fds, err = inheritedSocket(number, o)
	} else {
		fds, err = tcpSockets(addr, n, o)
	}
	if err != nil {
		return nil, cannotListen(addr, err)
	}
	for i, fd := range fds {
		f, err := hold(fd, addr)
		if err != nil {
			for _, fd := range fds[i+1:] {
				unix.Close(fd)
			}
			for _, f := range files {
				f.Close()
			}
			return nil, cannotListen(addr, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// FromFile makes a listener of a copy of a listening socket, which may be in
// use by other processes. Closing the listener closes the copy, and never
// removes the file of a unix socket.
func FromFile(f *os.File) (net.Listener, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	if err := rc.Control(func(of uintptr) {
		fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	held, err := hold(fd, f.Name())
	if err != nil {
		return nil, err
	}
	defer held.Close()
	ln, err := net.FileListener(held)
	if err != nil {
		return nil, cause(err)
	}
	acceptPlainly(ln)
	return ln, nil
}

// hold wraps a descriptor, which it takes over, in a File that does not know
// whether it blocks. One of os.NewFile does, and its Fd, which net.FileListener
// and os/exec call, would make the socket blocking, in all processes that share
// it: an acceptor that loses the race for a connection would be stuck.
func hold(fd int, name string) (*os.File, error) {
	defer unix.Close(fd)
	place, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
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

// acceptPlainly makes ln leave the keep-alive options of what it accepts
// alone, as a net.ListenConfig can, and a listener made of a file cannot: that
// is four system calls for every connection, and accepted sockets inherit the
// listener's options on Linux anyway. It says whether the field was there.
func acceptPlainly(ln net.Listener) bool {
	t, ok := ln.(*net.TCPListener)
	if !ok {
		return true
	}
	lc := reflect.ValueOf(t).Elem().FieldByName("lc")
	if !lc.IsValid() || lc.Type() != reflect.TypeFor[net.ListenConfig]() {
		return false
	}
	(*net.ListenConfig)(unsafe.Pointer(lc.UnsafeAddr())).KeepAlive = -1
	return true
}

// inheritedSocket takes over a descriptor that this process was started with.
func inheritedSocket(number string, o ListenOptions) ([]int, error) {
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 0 {
		return nil, errors.New("that is no number of a descriptor")
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case errors.Is(err, unix.EBADF):
		return nil, errors.New("fapws was started without this descriptor")
	case errors.Is(err, unix.ENOTSOCK):
		return nil, errors.New("this descriptor is not a socket")
	case err != nil:
		return nil, err
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return nil, err
	}
	if kind != unix.SOCK_STREAM || domain != unix.AF_INET && domain != unix.AF_INET6 && domain != unix.AF_UNIX {
		return nil, errors.New("this socket is neither TCP nor a unix stream")
	}
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return nil, errors.New("this socket is not listening")
	}
	unix.CloseOnExec(fd)
	if domain != unix.AF_UNIX {
		keepAlive(fd)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	if o.Backlog > 0 { // otherwise it keeps what its maker chose
		if err := unix.Listen(fd, o.Backlog); err != nil {
			return nil, err
		}
	}
	return []int{fd}, nil
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
// file of Sockets. 0 stands for as many as the system allows.
func SetBacklog(ln any, backlog int) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return
	}
	if rc, err := sc.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _ = listen(int(fd), ListenOptions{Backlog: backlog}) }) // failing, the old one holds
	}
}

// newSocket makes a stream socket that no child inherits.
func newSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

func cannotListen(addr string, err error) error {
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// cause takes the wrapping off an error of package net, whose text repeats
// the address.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
