//go:build !linux

package conn

import (
	"errors"
	"time"
)

// GiveUpAfter does nothing: the kernel's own patience holds.
func GiveUpAfter(fd int, d time.Duration) {}

// setKeepIdle does nothing: the kernel's own setting holds.
func setKeepIdle(fd, seconds int) {}

func setCongestion(fd int, name string) error { return errors.ErrUnsupported }
