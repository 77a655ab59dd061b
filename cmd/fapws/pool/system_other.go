//go:build !linux

package pool

import "syscall"

// block does nothing: a signal in the moment of exec may end the new program.
func block(signals []syscall.Signal) (unblock func()) { return func() {} }

// reapOrphans does nothing: processes without a parent are process 1's.
func (p *Pool) reapOrphans() {}
