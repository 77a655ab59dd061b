package conn

import (
	"testing"

	"golang.org/x/sys/unix"
)

// checkKeepIdle looks whether the kernel asks in time whether a connection still exists.
func checkKeepIdle(t *testing.T, fd int) {
	t.Helper()
	if idle, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); idle != keepAliveIdle || err != nil {
		t.Errorf("the kernel asks after %d s, %v", idle, err)
	}
}
