package ctl

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper returns a function that sleeps, to some microseconds (timerfd), until ctx ends. Go's timers may be a millisecond late.
func sleeper(ctx context.Context) (sleep func(time.Duration), done func()) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return time.Sleep, func() {}
	}
	f := os.NewFile(uintptr(fd), "timer")
	stop := context.AfterFunc(ctx, func() { f.Close() })
	sleep = func(d time.Duration) {
		if raw, err := f.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				_ = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil) // which is a valid time
			})
		}
		_, _ = f.Read(make([]byte, 8)) // fails when ctx ends
	}
	return sleep, func() {
		if stop() {
			f.Close()
		}
	}
}

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
