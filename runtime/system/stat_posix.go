//go:build dragonfly || linux || openbsd

package system

import "syscall"

// StatusChange returns when the status of a file was changed last.
func StatusChange(st *syscall.Stat_t) syscall.Timespec { return st.Ctim }
