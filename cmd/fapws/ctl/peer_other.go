//go:build !linux

package ctl

import "errors"

// peerUID does not know who is at the other side of a unix socket, so Linux is needed for control.
func peerUID(fd int) (int, error) { return -1, errors.ErrUnsupported }
