//go:build !linux

package programs_test

import "golang.org/x/sys/unix"

// childless reports whether this process has no child. One that has ended is reaped.
func childless() bool {
	_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
	return err == unix.ECHILD
}
