package conn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestUsedPortCannotBeSharedWithASecondSocket(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0", "localhost"} {
		ln := checktest.Try(Listen(host+":0", ListenOptions{})).Must(t)
		defer ln.Close()
		f, err := ListeningSocket(ln.Addr().String(), ListenOptions{})
		checktest.Truef(t, errors.Is(err, unix.EADDRINUSE), "%q: another at the same port: %v, %v", host, f, err)
	}
}

func TestListenErrorsNameAddressAndCause(t *testing.T) {
	ln := checktest.Try(Listen("127.0.0.1:0", ListenOptions{})).Must(t)
	defer ln.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	checktest.Must(t, os.WriteFile(file, nil, 0o600))
	defer checktest.Try(Listen("unix:"+filepath.Join(dir, "live"), ListenOptions{})).Must(t).Close()
	notSocket, _ := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
	notListening, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	notStream, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	defer func() {
		for _, fd := range []int{notSocket, notListening, notStream} {
			unix.Close(fd)
		}
	}()
	for _, test := range []struct {
		addr string
		want error
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
		ln, err := Listen(test.addr, ListenOptions{})
		if err == nil {
			ln.Close()
			t.Errorf("%s: no error", test.addr)
			continue
		}
		checktest.Truef(t, test.want == nil || errors.Is(err, test.want), "%s: %v, want %v", test.addr, err, test.want)
		checktest.Truef(t, !strings.Contains(err.Error(), "\n") &&
			strings.HasPrefix(err.Error(), "cannot listen on "+test.addr+": "), "%s: %q", test.addr, err)
	}
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	dead := checktest.Try(net.Listen("unix", path)).Must(t)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	checktest.Try(Listen("unix:"+path, ListenOptions{})).Must(t).Close()
	_, err := os.Lstat(path)
	checktest.Truef(t, errors.Is(err, os.ErrNotExist), "the file is still there after Close: %v", err)
}

func TestConnectionsOfTheSameMachineAreRecognized(t *testing.T) {
	for _, c := range []struct {
		local, remote net.Addr
		want          bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(127, 3, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4()}, true},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}, false},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1")}, &net.TCPAddr{IP: net.ParseIP("fe80::2")}, false},
		{&net.UnixAddr{Name: "/run/x"}, &net.UnixAddr{}, false},
	} {
		checktest.Equalf(t, SameMachine(c.local, c.remote), c.want, "%v, %v", c.local, c.remote)
	}
}
