package eventloop

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func TestLoopNoticesThatItsDescriptorsWereClosed(t *testing.T) {
	for i := range 3 {
		for _, replaced := range []bool{false, true} {
			l := checktest.Try(New()).Must(t)
			checktest.Must(t, l.Intact())
			all := [...]int{l.poller.own.epoll, l.poller.own.event, l.wake.waker.Event}
			unix.Close(all[i])
			if replaced {
				fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
				checktest.Needf(t, err == nil && fd == all[i], "%v %v", fd, err)
			}
			checktest.Truef(t, l.Intact() != nil,
				"descriptor %d of %v was closed (replaced %v), and nothing is said", i, all, replaced)
			for k, fd := range all {
				if k != i || replaced {
					unix.Close(fd)
				}
			}
		}
	}
}

func TestLoopSleepsOnceForEachEvent(t *testing.T) {
	const rounds = 1000
	l := checktest.Try(New()).Must(t)
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	checktest.Must(t, err)
	again := func() {
		soon := unix.ItimerSpec{Value: unix.Timespec{Nsec: 100_000}}
		checktest.Equal(t, unix.TimerfdSettime(timer, 0, &soon, nil), nil)
	}
	var w Watch
	left := rounds
	checktest.Must(t, l.Add(&w, timer, handlerFunc(func(Readiness) {
		if left--; left == 0 {
			l.Stop()
		} else if read(timer) > 0 {
			again()
		}
	})))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := sleeps(t)
	again()
	checktest.Equal(t, l.Run(), nil)
	n := sleeps(t) - before
	checktest.Truef(t, n <= rounds*3/2, "the thread has slept %d times for %d events", n, rounds)
	unix.Close(timer)
	checktest.Equal(t, l.Close(), nil)
}

func sleeps(t *testing.T) int64 {
	var used unix.Rusage
	checktest.Equal(t, unix.Getrusage(unix.RUSAGE_THREAD, &used), nil)
	return int64(used.Nvcsw)
}
