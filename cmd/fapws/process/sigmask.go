package process

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blockSignals blocks signals on the calling thread, so that they do not kill the process after exec, before the new
// program handles them. Blocked signals stay pending until the new program is ready, except for signals that the Go
// runtime unblocks at its start; SignalsArrived returns these signals. If the system call fails, blockSignals does nothing.
func blockSignals(signals []syscall.Signal) (unblock func()) {
	runtime.LockOSThread()
	var set, old unix.Sigset_t
	for _, sig := range signals {
		bits := int(unsafe.Sizeof(set.Val[0])) * 8
		set.Val[(int(sig)-1)/bits] |= 1 << ((int(sig) - 1) % bits)
	}
	failed := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old)
	return func() {
		if failed == nil {
			_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		}
		runtime.UnlockOSThread()
	}
}
