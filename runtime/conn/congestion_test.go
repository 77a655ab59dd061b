package conn

import (
	"net"
	"testing"

	"fapws/runtime/checktest"
)

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
