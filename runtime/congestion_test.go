package runtime

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSameMachine(t *testing.T) {
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
		if got := sameMachine(c.local, c.remote); got != c.want {
			t.Errorf("%v, %v: %v", c.local, c.remote, got)
		}
	}
}

// Connections from this machine are not paced, whatever its default is.
func TestUnpaced(t *testing.T) {
	s := serve(t, Config{}, newApp(true, demo))
	s.do(func() { s.loop.paced = true })
	if got := bodies(t, s.talk(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); !strings.HasPrefix(got, "200:") {
		t.Errorf("%q", got)
	}
	s.dial(t)
	var name string
	eventually(t, "a connection", func() (ok bool) {
		s.do(func() {
			for _, c := range s.loop.wheel.all() {
				name, _ = unix.GetsockoptString(c.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
				ok = true
			}
		})
		return ok
	})
	if strings.TrimRight(name, "\x00") != "reno" {
		t.Errorf("it has %q", name)
	}
}
