//go:build !linux

package ssi

import "golang.org/x/sys/unix"

// rusageThread counts all threads of the process: there is no more exact way.
const rusageThread = unix.RUSAGE_SELF
