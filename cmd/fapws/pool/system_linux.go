package pool

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// block keeps signals from the calling thread until unblock is called on it. Failing, it does nothing.
func block(signals []syscall.Signal) (unblock func()) {
	var set, old unix.Sigset_t
	for _, sig := range signals {
		bits := int(unsafe.Sizeof(set.Val[0])) * 8
		set.Val[(int(sig)-1)/bits] |= 1 << ((int(sig) - 1) % bits)
	}
	if unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old) != nil {
		return func() {}
	}
	return func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }
}
