package worker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// Each test case is a sequence of signals with the expected effects. In a sequence, "serve" marks the moment when
// serving begins, and "later" stands for a pause.
func TestSignalsStopReloadAndForceTheExit(t *testing.T) {
	const (
		serve = syscall.Signal(0)
		later = syscall.Signal(-1)
	)
	for _, tt := range []struct {
		worker bool
		sent   []os.Signal
		want   []string
	}{
		{false, []os.Signal{syscall.SIGINT}, []string{"info", "exit 0"}},
		{false, []os.Signal{syscall.SIGTERM}, []string{"info", "exit 0"}},
		{false, []os.Signal{syscall.SIGQUIT}, []string{"info", "exit 0"}},
		{false, []os.Signal{syscall.SIGHUP, serve, syscall.SIGUSR2}, []string{"info", "info"}},
		{false, []os.Signal{serve, syscall.SIGUSR1}, []string{"reopen"}},
		{false, []os.Signal{serve, syscall.SIGTERM}, []string{"end 0"}},
		{false, []os.Signal{serve, syscall.SIGQUIT}, []string{"end 2"}},
		{false, []os.Signal{serve, syscall.SIGTERM, syscall.SIGQUIT}, []string{"end 0", "end 2"}},
		{false, []os.Signal{serve, syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM}, []string{"end 0"}},
		{false, []os.Signal{serve, syscall.SIGINT, syscall.SIGHUP, later, syscall.SIGTERM},
			[]string{"info", "warning", "exit 1", "end 0"}},
		{true, []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, serve, syscall.SIGINT, syscall.SIGQUIT,
			syscall.SIGHUP, syscall.SIGUSR2}, nil},
		{true, []os.Signal{syscall.SIGTERM}, []string{"exit 143"}},
		{true, []os.Signal{serve, syscall.SIGUSR1, syscall.SIGTERM}, []string{"reopen", "replace"}},
	} {
		var got []string
		replaced := make(chan string, 1)
		s := &signals{orders: make(chan shutdownRequest, 8)}
		if tt.worker {
			s.replace = func(string) { replaced <- "replace" }
		}
		s.log = func(level logfile.Level, _ string) { got = append(got, level.String()) }
		s.exit = func(code int) { got = append(got, fmt.Sprint("exit ", code)) }
		s.reopen = func() { got = append(got, "reopen") }
		for _, sig := range tt.sent {
			switch sig {
			case serve:
				s.serve()
			case later:
				s.told = s.told.Add(-pool.Echo)
			default:
				s.handle(sig)
			}
		}
		if slices.Contains(tt.want, "replace") {
			got = append(got, <-replaced)
		}
		for len(s.orders) > 0 {
			got = append(got, fmt.Sprint("end ", (<-s.orders).how))
		}
		checktest.Equalf(t, got, tt.want, "%v", tt.sent)
	}
}

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
			"fapws 1.2.3, Python 3.11.2, 1 thread, " + pid + "  http://[::1]:1/\n  unix:/run/x\n  http://[fe80::1%25eth0]:2/\n"},
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
