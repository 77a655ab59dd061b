//go:build !linux

package process

import (
	"errors"
	"time"
)

// monotonic returns an error: these systems do not have systemd.
func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }
