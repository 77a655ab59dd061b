package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestBanner(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = "1.2.3"
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	local := []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("2001:db8::5")}
	pid := fmt.Sprintf("pid %d)\n", os.Getpid())
	served := "             PATHS, 2 entries\n"
	for _, tt := range []struct {
		name    string
		addrs   []net.Addr
		threads int
		want    string
	}{
		{"one address", []net.Addr{tcp("10.0.0.1:8888")}, 8,
			"fapws 1.2.3  http://10.0.0.1:8888/  (Python 3.11.2, up to 8 threads, " + pid},
		{"inline on port 80", []net.Addr{tcp("127.0.0.1:80")}, 0,
			"fapws 1.2.3  http://127.0.0.1/  (Python 3.11.2, inline, " + pid},
		{"every IPv4 address", []net.Addr{tcp("0.0.0.0:1")}, 1,
			"fapws 1.2.3  http://127.0.0.1:1/  (Python 3.11.2, 1 thread, " + pid +
				"             http://192.168.1.5:1/  on the network\n"},
		{"every address", []net.Addr{tcp("[::]:1")}, 1,
			"fapws 1.2.3  http://127.0.0.1:1/  (Python 3.11.2, 1 thread, " + pid +
				"             http://192.168.1.5:1/  http://[2001:db8::5]:1/  on the network\n"},
		{"several", []net.Addr{tcp("[::1]:1"), &net.UnixAddr{Name: "/run/x", Net: "unix"}, tcp("[fe80::1%eth0]:2")}, 1,
			"fapws 1.2.3  http://[::1]:1/  unix:/run/x  http://[fe80::1%25eth0]:2/  (Python 3.11.2, 1 thread, " + pid},
	} {
		if got := banner(tt.addrs, local, "PATHS, 2 entries", "3.11.2", mode(tt.threads)); got != tt.want+served {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want+served)
		}
	}
}
