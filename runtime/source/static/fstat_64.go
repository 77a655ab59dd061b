//go:build amd64 || arm64

package static

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fstat is fstat(2) as a raw system call: it does not wait, so the scheduler
// need not hear of it.
func fstat(fd int, stat *unix.Stat_t) bool {
	_, _, e := syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(stat)), 0)
	return e == 0
}
