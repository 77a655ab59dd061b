package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// Each test case is a sequence of signals with the expected effects. In a sequence, "serve" is the moment when
// serving begins, and "later" is a pause.
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
		{false, []os.Signal{syscall.SIGHUP, serve, syscall.SIGUSR2}, []string{"reload HUP", "reload USR2"}},
		{false, []os.Signal{serve, syscall.SIGUSR1}, []string{"reopen"}},
		{false, []os.Signal{serve, syscall.SIGTERM}, []string{"end 0"}},
		{false, []os.Signal{serve, syscall.SIGQUIT}, []string{"end 2"}},
		{false, []os.Signal{serve, syscall.SIGTERM, syscall.SIGQUIT}, []string{"end 0", "end 2"}},
		{false, []os.Signal{serve, syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM}, []string{"end 0"}},
		{false, []os.Signal{serve, syscall.SIGINT, syscall.SIGHUP, later, syscall.SIGTERM},
			[]string{"warning", "exit 1", "end 0"}},
		{true, []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, serve, syscall.SIGINT, syscall.SIGQUIT,
			syscall.SIGHUP, syscall.SIGUSR2}, nil},
		{true, []os.Signal{syscall.SIGTERM}, []string{"exit 143"}},
		{true, []os.Signal{serve, syscall.SIGUSR1, syscall.SIGTERM}, []string{"reopen", "replace"}},
	} {
		var got []string
		replaced := make(chan string, 1)
		s := &signals{orders: make(chan shutdownRequest, 8), served: make(chan struct{})}
		if tt.worker {
			s.replace = func(string) { replaced <- "replace" }
		} else {
			s.reload = func(why string) { got = append(got, "reload "+why) }
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

func TestListenErrorHasAHint(t *testing.T) {
	for _, tt := range []struct {
		addr string
		err  error
		want string
	}{
		{":80", unix.EACCES, "setcap cap_net_bind_service=+ep "},
		{"unix:/x", unix.EACCES, ""},
		{":8888", fmt.Errorf("cannot: %w", unix.EADDRINUSE), "--bind"},
		{"192.0.2.1:1", unix.EADDRNOTAVAIL, "does not belong to this machine"},
		{"a.invalid:1", errors.New("no such host"), ""},
	} {
		got := listenHint(tt.addr, nil, tt.err)
		checktest.Truef(t, strings.Contains(got, tt.want) && (got == "") == (tt.want == ""),
			"%s, %v: hint %q, want %q in it", tt.addr, tt.err, got, tt.want)
	}
}

// The listener never accepts connections. The kernel's queue for a unix socket holds one connection more than the
// backlog.
func TestBacklogLimitsTheQueueOfAListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	listeners := checktest.Try(Listen([]string{"unix:" + path}, conn.ListenOptions{Backlog: 2})).Must(t)
	defer listeners[0].Close()
	for i := range 4 {
		fd := checktest.Try(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)).Must(t)
		defer unix.Close(fd)
		checktest.Must(t, unix.SetNonblock(fd, true))
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		checktest.Equalf(t, err == nil, i < 3, "connection %d: %v", i, err)
	}
}

func TestPassedSocketsAreReadFromTheEnvironment(t *testing.T) {
	for _, tt := range []struct{ pid, fds, names, want string }{
		{"42", "1", "", "fd://3"},
		{"42", "3", "", "fd://3 fd://4 fd://5"},
		{"42", "3", "web:https:x", "fd://3 https+fd://4 fd://5"},
		{"42", "2", "https", "https+fd://3 fd://4"},
		{"42", "0", "https", ""},
		{"42", "-1", "", ""},
		{"42", "x", "", ""},
		{"42", "", "", ""},
		{"41", "1", "", ""},
		{"", "1", "", ""},
		{"042", "1", "", ""},
	} {
		checktest.Equalf(t, strings.Join(passedSockets(tt.pid, tt.fds, tt.names, 42), " "), tt.want,
			"LISTEN_PID=%s LISTEN_FDS=%s LISTEN_FDNAMES=%s", tt.pid, tt.fds, tt.names)
	}
}

func TestPassedSocketsReplaceAddresses(t *testing.T) {
	for _, tt := range []struct {
		passed, bind string
		given        bool
		want, unused string
	}{
		{"", ":8888", false, ":8888", ""},
		{"fd://3 fd://4", ":8888", false, "fd://3 fd://4", ""},
		{"fd://3 fd://4", ":80", true, ":80", "fd://3 fd://4"},
		{"fd://3 fd://4", "systemd", true, "fd://3 fd://4", ""},
		{"fd://3 fd://4", ":80 systemd unix:x", true, ":80 fd://3 fd://4 unix:x", ""},
		{"fd://3 fd://4", "fd://4", true, "fd://4", "fd://3"},
		{"fd://3 fd://4", "https+fd://4", true, "https+fd://4", "fd://3"},
		{"fd://3 fd://4", "https://0.0.0.0:8888", false, "https+fd://3 https+fd://4", ""},
		{"fd://3 https+fd://4", "https://0.0.0.0:8888", false, "fd://3 https+fd://4", ""},
		{"fd://3 https+fd://4", "https+systemd", true, "fd://3 https+fd://4", ""},
		{"fd://3 https+fd://4", "systemd", true, "fd://3 https+fd://4", ""},
		{"fd://3 fd://4", ":80 https+systemd", true, ":80 https+fd://3 https+fd://4", ""},
	} {
		a := Passed(strings.Fields(tt.passed))
		got, err := a.addresses(strings.Fields(tt.bind), tt.given)
		checktest.Truef(t, err == nil && strings.Join(got, " ") == tt.want && strings.Join(a.unused(got), " ") == tt.unused,
			"%q passed, %s: %v, %v, unused %v", tt.passed, tt.bind, got, err, a.unused(got))
	}
	_, err := Passed(nil).addresses([]string{"systemd"}, true)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "no sockets were passed"),
		"systemd without sockets: %v", err)
}

func TestOwnerOfAListeningSocketIsInItsLine(t *testing.T) {
	const line = "0: 0100007F:1F90 00000000:0000 %s 00000000:00000000 00:00000000 00000000 33 0 4711 1 0000000000000000"
	for _, tt := range []struct {
		state, addr, inode string
		uid                int
	}{
		{"0A", "127.0.0.1:8080", "4711", 33},
		{"0A", ":8080", "4711", 33},
		{"0A", "127.0.0.2:8080", "", 0},
		{"01", "127.0.0.1:8080", "", 0},
	} {
		inode, uid := inodeOf(strings.Fields(strings.Replace(line, "%s", tt.state, 1)), tt.addr)
		checktest.Truef(t, inode == tt.inode && uid == tt.uid, "%s %s: %q, %d", tt.state, tt.addr, inode, uid)
	}
}
