//go:build !linux

package notify

import (
	"errors"
	"time"
)

// monotonic returns an error: there is no systemd.
func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }
