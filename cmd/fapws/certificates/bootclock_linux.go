package certificates

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime returns the time since the machine was started, in which it may have slept. No setting of the clock changes it.
func uptime() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
