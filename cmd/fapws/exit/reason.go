package exit

import (
	"errors"
	"syscall"
)

// Reason returns the system's error about a file, without the name of the call.
func Reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
