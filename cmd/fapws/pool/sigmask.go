package pool

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// block keeps signals from ending the program between two: blocked on the calling thread, the only one that is
// left after exec, they wait until the new program is ready for them. Go's start unblocks some of them, and package
// process keeps these. Failing, it does nothing.
func block(signals []syscall.Signal) (unblock func()) {
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
