//go:build !linux

package ctl

import "errors"

// peerUID cannot find the user at the other side of a unix socket, so the control socket needs Linux.
func peerUID(fd int) (int, error) { return -1, errors.ErrUnsupported }
