//go:build !linux

package ctl

import (
	"context"
	"errors"
	"time"
)

// sleeper returns a function that sleeps until ctx ends.
func sleeper(ctx context.Context) (sleep func(time.Duration), done func()) {
	sleep = func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	return sleep, func() {}
}

// peer cannot find the user at the other side of a unix socket, so the control socket needs Linux.
func peer(fd int) (uid, pid int, err error) { return -1, 0, errors.ErrUnsupported }

// ended is asked about processes that peer has found.
func ended(int) bool { return false }
