package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/waittest"
)

// listenPatience ends a test that hangs, also on a machine that is many times slower.
const listenPatience = waittest.Patience

// options are the default ones with a change.
func options(change func(*ListenOptions)) ListenOptions {
	o := DefaultListenOptions
	change(&o)
	return o
}

// descriptor returns that of a file or listener, which it leaves as it is.
func descriptor(t *testing.T, of any) (fd int) {
	rc, err := of.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(n uintptr) { fd = int(n) })
	return fd
}

// accept waits for a connection of ln.
func accept(t *testing.T, ln *Listener) (fd int) {
	t.Helper()
	of := descriptor(t, ln)
	for {
		ready := [1]unix.PollFd{{Fd: int32(of), Events: unix.POLLIN}}
		n, err := unix.Poll(ready[:], int(listenPatience/time.Millisecond))
		if n > 0 {
			fd, _, err = unix.Accept(of)
		}
		if err == nil && n > 0 {
			return fd
		}
		if err != unix.EINTR {
			t.Fatal(n, err)
		}
	}
}

// A port on which a socket listens is taken.
func TestSocketIsAlone(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0", "localhost"} {
		ln, err := Listen(host+":0", DefaultListenOptions)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if f, err := ListeningSocket(ln.Addr().String(), DefaultListenOptions); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%q: another at the same port: %v, %v", host, f, err)
		}
	}
}

// localhost needs no name server and no /etc/hosts.
func TestLocalhost(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "LocalHost.": true, "localhost.example": false, "": false, "127.0.0.1": false} {
		if isLocalhost(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
	ln, err := Listen("LOCALHOST:0", DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("it listens on %v", ln.Addr())
	}
}

// TestSocketsOfOthers: a port that another program of this user shares with
// every client is accepted nevertheless.
func TestSocketsOfOthers(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	other, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := ListeningSocket(other.Addr().String(), DefaultListenOptions); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("error %v", err)
	}
}

// TestEveryAddress: ":port" and "0.0.0.0:port" take IPv6 clients too, where
// there is IPv6, and a specific address does not take others.
func TestEveryAddress(t *testing.T) {
	v6, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		v6.Close()
	}
	for _, tt := range []struct {
		listen, dial string
		reached      bool
	}{
		{":0", "127.0.0.1", true},
		{":0", "::1", err == nil},
		{"0.0.0.0:0", "::1", err == nil},
		{"127.0.0.1:0", "127.0.0.2", false},
		{"127.0.0.1:0", "::1", false},
	} {
		ln, err := Listen(tt.listen, DefaultListenOptions)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		c, err := net.Dial("tcp", net.JoinHostPort(tt.dial, port))
		if err == nil {
			c.Close()
		}
		if (err == nil) != tt.reached {
			t.Errorf("%s from %s: %v", tt.listen, tt.dial, err)
		}
		ln.Close()
	}
}

func TestSocketFileModeAndOwner(t *testing.T) {
	root := os.Geteuid() == 0
	for _, tt := range []struct {
		change   func(*ListenOptions)
		mode     int // -1: whatever umask leaves
		uid, gid int
		rootOnly bool
	}{
		{func(o *ListenOptions) { o.Mode = 0o600 }, 0o600, os.Geteuid(), os.Getegid(), false},
		{func(o *ListenOptions) { o.Mode = 0o666 }, 0o666, os.Geteuid(), os.Getegid(), false}, // more than umask leaves
		{func(o *ListenOptions) { o.Mode = 0 }, 0, os.Geteuid(), os.Getegid(), false},
		{func(o *ListenOptions) { o.GID = os.Getegid() }, -1, os.Geteuid(), os.Getegid(), false},
		{func(o *ListenOptions) { o.Mode, o.UID, o.GID = 0o660, 54321, 54322 }, 0o660, 54321, 54322, true},
		{func(o *ListenOptions) { o.Mode, o.GID = 0o660, 54322 }, 0o660, os.Geteuid(), 54322, true},
	} {
		path := filepath.Join(t.TempDir(), "sock")
		f, err := ListeningSocket("unix:"+path, options(tt.change))
		if tt.rootOnly && !root {
			if _, left := os.Lstat(path); !errors.Is(err, unix.EPERM) || !errors.Is(left, fs.ErrNotExist) {
				t.Errorf("not root: %v; left behind: %v", err, left)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		mode := int(st.Mode & 0o777)
		if tt.mode >= 0 && mode != tt.mode || int(st.Uid) != tt.uid || int(st.Gid) != tt.gid {
			t.Errorf("mode %o of %d:%d, want %o of %d:%d", mode, st.Uid, st.Gid, tt.mode, tt.uid, tt.gid)
		}
		f.Close()
		if err := RemoveSocketFile("unix:" + path); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("not removed: %v", err)
		}
		if err := RemoveSocketFile("unix:" + path); err != nil {
			t.Errorf("removed twice: %v", err)
		}
	}
}

// TestFromFile: a listener that others have a copy of works, closes without
// taking the file away, and leaves the socket non-blocking whatever is done
// with the file: an acceptor elsewhere must not be stuck in accept.
func TestFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	for _, addr := range []string{"127.0.0.1:0", "unix:" + path, fmt.Sprintf("unix:@fapws-test-%d", os.Getpid())} {
		f, err := ListeningSocket(addr, DefaultListenOptions)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: Fd has made the socket blocking", addr)
		}
		if flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: children inherit the socket", addr)
		}
		unix.SetNonblock(descriptor(t, f), false) // as the passing process may leave it
		for range 2 {
			ln, err := ListenerFromFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
				t.Errorf("%s: still blocking", addr)
			}
			c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			unix.Close(accept(t, ln))
			ln.Close()
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file has gone: %v", err)
	}
}

// TestFromFileAfterShutdown: a socket that another process has shut down listens again, on the same port.
func TestFromFileAfterShutdown(t *testing.T) {
	f, err := ListeningSocket("127.0.0.1:0", DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	free, err := ListenerFromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	f.Close()
	if f, err = ListeningSocket(addr, DefaultListenOptions); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Shutdown(descriptor(t, f), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	ln, err := ListenerFromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := ln.Intact(); err != nil {
		t.Error(err)
	}
	unix.SetNonblock(ln.Fd(), false)
	if ln.Intact() == nil {
		t.Error("a blocking listener is intact")
	}
}

// TestInherited: fd://N serves a socket that was made elsewhere, blocking, and
// knows its real address.
func TestInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	for _, network := range []string{"tcp", "unix"} {
		where := map[string]string{"tcp": "127.0.0.1:0", "unix": path}[network]
		outside, err := net.Listen(network, where)
		if err != nil {
			t.Fatal(err)
		}
		defer outside.Close()
		fd, err := unix.Dup(descriptor(t, outside))
		if err != nil {
			t.Fatal(err)
		}
		unix.SetNonblock(fd, false)
		ln, err := Listen(fmt.Sprintf("fd://%d", fd), DefaultListenOptions)
		if err != nil {
			t.Fatal(err)
		}
		if ln.Addr().String() != outside.Addr().String() {
			t.Errorf("address %v, want %v", ln.Addr(), outside.Addr())
		}
		c, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		in := accept(t, ln)
		if network == "tcp" {
			if on, _ := unix.GetsockoptInt(in, unix.SOL_SOCKET, unix.SO_KEEPALIVE); on != 1 {
				t.Error("connections are not kept alive")
			}
			checkKeepIdle(t, in)
		}
		unix.Close(in)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		ln.Close()
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file of another has gone: %v", err)
	}
}
