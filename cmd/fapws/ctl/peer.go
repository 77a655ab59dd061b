package ctl

import (
	"cmp"
	"net"

	"golang.org/x/sys/unix"
)

// peer returns the uid and the process ID of the process at the other end of c. If c is a client's connection, the
// process is the one that called listen. If the process is in a different PID namespace, pid is 0.
func peer(c *net.UnixConn) (uid, pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, 0, err
	}
	uid = -1
	failed := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid, pid = int(cred.Uid), int(cred.Pid)
		}
	})
	return uid, pid, cmp.Or(failed, err)
}

// ended reports whether a process no longer exists or is a zombie.
func ended(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil { // pidfd_open is missing before Linux 5.3
		return unix.Kill(pid, 0) == unix.ESRCH
	}
	defer unix.Close(fd)
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0
}
