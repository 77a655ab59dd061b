package process

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic returns systemd's time: since the machine was started.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano()), err
}
