package exit

import (
	"errors"
	"syscall"
)

// Reason is what the system says of a file, without the name of the call.
func Reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
