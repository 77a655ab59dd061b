package ctl

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestClientWaitsWhileTheQueueIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	checktest.Must(t, err)
	defer unix.Close(fd)
	checktest.Must(t, errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)))
	for err == nil {
		_, err = net.Dial("unix", path)
	}
	checktest.Needf(t, errors.Is(err, unix.EAGAIN), "%v", err)
	time.AfterFunc(50*time.Millisecond, func() {
		if nfd, _, err := unix.Accept(fd); err == nil {
			unix.Close(nfd)
		}
	})
	c := checktest.Try(dialWithin(path, time.Minute)).Must(t)
	c.Close()
}
