package ctl

import (
	"golang.org/x/sys/unix"
)

// peer returns the user and the process at the other side of a unix socket: of a server, the one that began to listen. The
// process is 0 if it is in another PID namespace.
func peer(fd int) (uid, pid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, 0, err
	}
	return int(cred.Uid), int(cred.Pid), nil
}

// ended reports whether a process has ended, also if its parent has not waited for it.
func ended(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // before Linux 5.3
		return unix.Kill(pid, 0) == unix.ESRCH
	}
	defer unix.Close(fd)
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0
}
