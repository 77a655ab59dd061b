package conn

import (
	"time"

	"golang.org/x/sys/unix"
)

// GiveUpAfter makes the kernel break a TCP connection whose peer has acknowledged nothing for that long. Failing, it
// is not bounded.
func GiveUpAfter(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// setKeepIdle says after how many silent seconds the kernel asks whether a TCP connection still exists.
func setKeepIdle(fd, seconds int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
}

func setCongestion(fd int, name string) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
}
