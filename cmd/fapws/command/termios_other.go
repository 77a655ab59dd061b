//go:build !linux

package command

import "golang.org/x/sys/unix"

// The requests of ioctl(2) for the settings of a terminal.
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)
