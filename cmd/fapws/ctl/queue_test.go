package ctl

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestClientWaitsWhileTheQueueIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = net.Dial("unix", path)
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		if nfd, _, err := unix.Accept(fd); err == nil {
			unix.Close(nfd)
		}
	})
	c, err := dialWithin(path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
