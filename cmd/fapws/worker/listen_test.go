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
		want := i < 3
		checktest.Equalf(t, err == nil, want, "connection %d: %v", i, err)
	}
}
