package worker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/checktest"
)

func TestBannerShowsAddressesThreadsAndApplication(t *testing.T) {
	defer func(v string) { process.Version = v }(process.Version)
	process.Version = "1.2.3"
	tcp := func(s string) Address { return Address{Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))} }
	secure := func(s string) Address { return Address{tcp(s).Addr, true} }
	local := []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("2001:db8::5")}
	pid := fmt.Sprintf("pid %d\n", os.Getpid())
	served := "  PATHS, 2 entries\n"
	for _, tt := range []struct {
		name    string
		addrs   []Address
		threads int
		open    bool // clients on other machines can use the server without a password
		want    string
	}{
		{"one address", []Address{tcp("10.0.0.1:8888")}, 8, true,
			"fapws 1.2.3, Python 3.11.2, up to 8 threads, " + pid + "  http://10.0.0.1:8888/\n"},
		{"inline on port 80", []Address{tcp("127.0.0.1:80")}, 0, false,
			"fapws 1.2.3, Python 3.11.2, inline, " + pid + "  http://127.0.0.1/\n"},
		{"every IPv4 address", []Address{tcp("0.0.0.0:1")}, 1, true,
			"fapws 1.2.3, Python 3.11.2, 1 thread, " + pid + "  http://127.0.0.1:1/\n" +
				"  http://192.168.1.5:1/  on the network\n"},
		{"every address", []Address{tcp("[::]:1")}, 1, false,
			"fapws 1.2.3, Python 3.11.2, 1 thread, " + pid + "  http://127.0.0.1:1/\n" +
				"  http://192.168.1.5:1/  http://[2001:db8::5]:1/  on the network\n"},
		{"HTTPS", []Address{tcp("0.0.0.0:80"), secure("0.0.0.0:443"), secure("[::1]:8443")}, 1, true,
			"fapws 1.2.3, Python 3.11.2, 1 thread, " + pid +
				"  http://127.0.0.1/\n  https://127.0.0.1/\n  https://[::1]:8443/\n" +
				"  http://192.168.1.5/  https://192.168.1.5/  on the network\n"},
		{"several", []Address{tcp("[::1]:1"), {Addr: &net.UnixAddr{Name: "/run/x", Net: "unix"}},
			tcp("[fe80::1%eth0]:2")}, 1, true,
			"fapws 1.2.3, Python 3.11.2, 1 thread, " + pid +
				"  http://[::1]:1/\n  unix:/run/x\n  http://[fe80::1%25eth0]:2/\n"},
	} {
		warning := ""
		if tt.open {
			warning = "  open to the network without a password; -b 127.0.0.1 serves this machine only\n"
		}
		shown := &Shown{pool.Settled{Config: settings.Config{Threads: tt.threads}, Served: "PATHS, 2 entries",
			Python: "3.11.2", Open: tt.open}, tt.addrs}
		checktest.Equalf(t, shown.banner("", false, local), tt.want+served+warning, "%s", tt.name)
	}
}
