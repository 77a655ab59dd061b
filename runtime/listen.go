package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keepAliveIdle is after how many silent seconds the kernel asks whether a
// client is still there; it finds those that vanished while their response
// (server-sent events, say) has nothing to write.
const keepAliveIdle = 60

// Listen makes a listening socket on "ip:port", ":port", "[::1]:port",
// "unix:/path" or "unix:@name" (Linux's abstract names). A socket file that a
// dead server left behind is replaced. The error is one line; errors.Is tells
// its cause (unix.EADDRINUSE, unix.EACCES ...).
func Listen(addr string) (net.Listener, error) {
	network, where := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, where = "unix", path
		if err := removeStale(path); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
		}
	}
	// Go's keep-alive costs four calls for every connection; accepted sockets
	// inherit the listener's options on Linux.
	lc := net.ListenConfig{KeepAlive: -1, Control: func(network, _ string, rc syscall.RawConn) error {
		if strings.HasPrefix(network, "tcp") {
			return rc.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle)
			})
		}
		return nil
	}}
	ln, err := lc.Listen(context.Background(), network, where)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, cause(err))
	}
	return ln, nil
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

// removeStale removes a socket file on which nobody listens.
func removeStale(path string) error {
	if path == "" || path[0] == '@' {
		return nil
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return cause(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return unix.EADDRINUSE
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return cause(err)
	}
	return os.Remove(path)
}
