package eventloop

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoopNoticesThatItsDescriptorsWereClosed(t *testing.T) {
	for i := range 3 {
		for _, replaced := range []bool{false, true} {
			l, err := New()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Intact(); err != nil {
				t.Fatal(err)
			}
			all := [...]int{l.poller.own.epoll, l.poller.own.event, l.wake.waker.Event}
			unix.Close(all[i])
			if replaced {
				fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
				if err != nil || fd != all[i] {
					t.Fatal(fd, err)
				}
			}
			if l.Intact() == nil {
				t.Errorf("descriptor %d of %v was closed (replaced %v), and nothing is said", i, all, replaced)
			}
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
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	again := func() {
		soon := unix.ItimerSpec{Value: unix.Timespec{Nsec: 100_000}}
		if err := unix.TimerfdSettime(timer, 0, &soon, nil); err != nil {
			t.Error(err)
		}
	}
	var w Watch
	left := rounds
	if err := l.Add(&w, timer, handlerFunc(func(Readiness) {
		if left--; left == 0 {
			l.Stop()
		} else if read(timer) > 0 {
			again()
		}
	})); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := sleeps(t)
	again()
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if n := sleeps(t) - before; n > rounds*3/2 {
		t.Errorf("the thread has slept %d times for %d events", n, rounds)
	}
	unix.Close(timer)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func sleeps(t *testing.T) int64 {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		t.Error(err)
	}
	return int64(used.Nvcsw)
}
