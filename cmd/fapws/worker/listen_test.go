package worker

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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
		if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s, %v: hint %q, want %q in it", tt.addr, tt.err, got, tt.want)
		}
	}
}

// The listener never accepts connections. The kernel's queue for a unix socket holds one connection more than the
// backlog.
func TestBacklogLimitsTheQueueOfAListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	listeners, err := Listen([]string{"unix:" + path}, conn.ListenOptions{Backlog: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer listeners[0].Close()
	for i := range 4 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if want := i < 3; (err == nil) != want {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}
