package pool

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

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
