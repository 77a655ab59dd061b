//go:build !linux

package certificates

import "time"

// uptime returns the time since 1970, because only Linux has a clock that counts sleep and cannot be set.
func uptime() time.Duration { return time.Duration(time.Now().UnixNano()) }
