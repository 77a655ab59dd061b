package worker

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
)

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
