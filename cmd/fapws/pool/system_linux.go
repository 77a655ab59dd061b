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

// childInfo begins like siginfo_t does for SIGCHLD and waitid(2).
type childInfo struct {
	_   [3]int32 // number, errno, code
	_   [0]uintptr
	pid int32
	_   [unsafe.Sizeof(unix.Siginfo{})]byte // more than the rest
}

// reapOrphans takes note of the ends of processes that others have left to this one: it is process 1 of a container,
// perhaps, where processes that a worker's children started and did not wait for would stay as zombies. A worker has
// a goroutine that waits for it; when one stands in the way, died looks again.
func (p *Pool) reapOrphans() {
	for {
		var info childInfo
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != nil || info.pid == 0 || p.workers[int(info.pid)] != nil {
			return
		}
		_, _ = unix.Wait4(int(info.pid), nil, unix.WNOHANG, nil) // its status does not matter
	}
}
