package runtime

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenErrors(t *testing.T) {
	ln, err := Listen("127.0.0.1:0", DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	live, err := Listen("unix:"+filepath.Join(dir, "live"), DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	notSocket, _ := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
	notListening, _ := newSocket(unix.AF_INET)
	notStream, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	defer func() {
		for _, fd := range []int{notSocket, notListening, notStream} {
			unix.Close(fd)
		}
	}()
	for _, test := range []struct {
		addr string
		want error // nil: any
	}{
		{ln.Addr().String(), unix.EADDRINUSE},
		{"unix:" + filepath.Join(dir, "live"), unix.EADDRINUSE},
		{"unix:" + file, nil},
		{"unix:" + filepath.Join(dir, "missing", "x"), unix.ENOENT},
		{"unix:/" + strings.Repeat("x", 200), nil},
		{"unix:@" + strings.Repeat("x", 200), nil},
		{"192.0.2.1:80", unix.EADDRNOTAVAIL},
		{"[2001:db8::1%no-such-interface]:80", nil},
		{"fd://", nil},
		{"fd://-1", nil},
		{"fd://1000000", nil},
		{fmt.Sprintf("fd://%d", notSocket), nil},
		{fmt.Sprintf("fd://%d", notListening), nil},
		{fmt.Sprintf("fd://%d", notStream), nil},
		{"127.0.0.1:99999", nil},
		{"127.0.0.1", nil},
	} {
		ln, err := Listen(test.addr, DefaultListenOptions)
		if err == nil {
			ln.Close()
			t.Errorf("%s: no error", test.addr)
			continue
		}
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.addr, err, test.want)
		}
		if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "cannot listen on "+test.addr+": ") {
			t.Errorf("%s: %q", test.addr, err)
		}
	}
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	ln, err := Listen("unix:"+path, DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there after Close: %v", err)
	}
}

func TestUnixSocketAndPeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	modes(t, func(t *testing.T, inline bool) {
		peers := make(chan string, 1)
		a := newApp(inline, func(c *call) {
			p := c.Peer
			peers <- strings.Join([]string{p.Addr, p.Port, p.ServerName, p.ServerPort}, "|")
			c.reply(200, strings.Repeat("x", 1<<20))
		})
		s := serve(t, Config{}, a)
		ln, err := Listen("unix:"+path, DefaultListenOptions)
		if err != nil {
			t.Fatal(err)
		}
		s.Accept(ln)

		const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, request)
		if all, err := io.ReadAll(c); err != nil || len(all) < 1<<20 {
			t.Errorf("%d bytes, %v", len(all), err)
		}
		if got := <-peers; got != "||localhost|80" {
			t.Errorf("peer of a unix socket: %q", got)
		}

		tcp := s.dial(t)
		io.WriteString(tcp, request)
		io.ReadAll(tcp)
		_, port, _ := net.SplitHostPort(tcp.LocalAddr().String())
		_, serverPort, _ := net.SplitHostPort(s.addr)
		if got, want := <-peers, "127.0.0.1|"+port+"|127.0.0.1|"+serverPort; got != want {
			t.Errorf("peer %q, want %q", got, want)
		}
	})
}
