package ctl

import (
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
)

// timer wakes a generator when the next request is due, to some microseconds (timerfd).
type timer struct {
	g     *generator
	fd    int
	watch eventloop.Watch
	at    time.Duration // when it is set to; 0: it is not set
}

func (t *timer) open(g *generator) (err error) {
	t.g = g
	if t.fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return err
	}
	return g.loop.Add(&t.watch, t.fd, t)
}

// set sets the timer, unless it is set to the same time already.
func (t *timer) set(at time.Duration) {
	if at == t.at || at == never {
		return
	}
	t.at = at
	wait := unix.NsecToTimespec(max(1, int64(at-time.Since(t.g.epoch))))
	_ = unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: wait}, nil) // which is a valid time
}

// Ready implements eventloop.Handler.
func (t *timer) Ready(eventloop.Readiness) {
	var expirations [8]byte
	if n, _ := unix.Read(t.fd, expirations[:]); n == len(expirations) {
		t.at = 0
		t.g.clock()
		t.g.wake()
	}
}

func (t *timer) close() {
	t.watch.Remove()
	unix.Close(t.fd)
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
