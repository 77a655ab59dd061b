//go:build darwin || dragonfly || freebsd || netbsd

package system

import "syscall"

// StatusChange is as on Linux.
func StatusChange(st *syscall.Stat_t) syscall.Timespec { return st.Ctimespec }
