package conn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// tcpSocket makes a listening socket as package net does: an unspecified address accepts IPv6 and IPv4, or only IPv4 if
// the kernel has no IPv6.
func tcpSocket(addr string, o ListenOptions) (int, error) {
	a, err := resolveTCP(addr)
	if err != nil {
		return -1, err
	}
	with := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			setForAccepted(int(fd))
			if a.IP.IsLoopback() && Paces() {
				Unpace(int(fd))
			}
		})
	}}
	with.SetMultipathTCP(false)
	ln, err := with.Listen(context.Background(), "tcp", a.String())
	if err != nil {
		return -1, system.Cause(err)
	}
	fd, err := descriptorOf(ln)
	if err == nil && o.Backlog > 0 {
		_ = listen(fd, o) // ignore the error: the old backlog remains
	}
	return fd, err
}

func resolveTCP(addr string) (*net.TCPAddr, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && isLocalhost(host) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	a, err := net.ResolveTCPAddr("tcp", addr)
	return a, system.Cause(err)
}

// isLocalhost reports whether host is a name of the loopback address (RFC 6761 §6.3). isLocalhost does not resolve the
// name, because small systems have no /etc/hosts.
func isLocalhost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// setForAccepted sets the options that accepted connections inherit from their listener: small responses are sent at
// once, and the kernel probes silent connections (keepAliveIdle).
func setForAccepted(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle)
}

// Paces reports whether the kernel's congestion control paces packets, as BBR does. Paces is safe for concurrent use.
//
// Between two programs on the same machine, pacing only costs time, because every pause needs a timer and a wake-up.
// Connections from the same machine, for example from a proxy, therefore use Reno.
var Paces = sync.OnceValue(func() bool {
	name, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return err == nil && strings.HasPrefix(string(name), "bbr")
})

// Unpace disables pacing for a TCP socket. An accepted socket that began with BBR keeps some of the pacing, so it is
// better to call Unpace for the listener.
func Unpace(fd int) {
	// Ignore errors, because the connection also works with BBR.
	_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
}

// SameMachine reports whether packets between the two addresses never leave the machine.
func SameMachine(local, remote net.Addr) bool {
	l, ok := local.(*net.TCPAddr)
	r, ok2 := remote.(*net.TCPAddr)
	return ok && ok2 && (r.IP.IsLoopback() || r.IP.Equal(l.IP))
}

const maxSocketPath = 107 // in bytes, without the final NUL (unix(7))

func unixSocket(path string, o ListenOptions) (_ int, err error) {
	if err := removeStale(path); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	made := false
	defer func() {
		if err != nil {
			unix.Close(fd)
			if made {
				unix.Unlink(path)
			}
		}
	}()
	// Bind creates the file with the mode of the socket, but without the bits of the umask. The file therefore never
	// has more permissions than o.File.Mode.
	if o.File != nil && o.File.Mode >= 0 {
		if err := unix.Fchmod(fd, uint32(o.File.Mode)); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, err
	}
	if !isAbstract(path) {
		made = true
		if o.File != nil {
			if err := setOwnerAndMode(path, o.File); err != nil {
				return -1, err
			}
		}
	}
	// Before this call, clients cannot connect.
	if err := listen(fd, o); err != nil {
		return -1, err
	}
	return fd, nil
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

// RemoveSocketFile removes the file of the unix socket addr. It must be called after the last process has stopped
// accepting on the socket.
func RemoveSocketFile(addr string) error {
	path, ok := strings.CutPrefix(addr, "unix:")
	if !ok || isAbstract(path) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", path, system.Cause(err))
	}
	return nil
}

func isAbstract(path string) bool { return path == "" || path[0] == '@' }

// existing reports whether path is a socket file. The error says that no socket file can be made at path.
func existing(path string) (bool, error) {
	if len(path) > maxSocketPath {
		return false, fmt.Errorf("the path has %d bytes; the maximum for a socket is %d", len(path), maxSocketPath)
	}
	if isAbstract(path) {
		return false, nil
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, system.Cause(err)
	case info.Mode().Type() != fs.ModeSocket:
		return false, errors.New("the file exists and is not a socket")
	}
	return true, nil
}

func removeStale(path string) error {
	found, err := existing(path)
	if err != nil || !found {
		return err
	}
	if err := isStale(path); err != nil {
		return err
	}
	return system.Cause(os.Remove(path))
}

// isStale returns nil if no process listens on the unix socket at path, which must exist.
func isStale(path string) error {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return unix.EADDRINUSE
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return system.Cause(err)
	}
	return nil
}
