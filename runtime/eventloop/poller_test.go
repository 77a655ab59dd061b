package eventloop

import (
	"encoding/binary"
	"runtime"
	"sync"
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

// The tested events are ready descriptors, room in a socket, and posted functions.
func TestLoopContinuesOnAnotherGoroutineWithoutLosingEvents(t *testing.T) {
	l := checktest.Try(New()).Must(t)
	const sockets, rounds = 40, 20
	var heard sync.WaitGroup
	leaves := false
	var watches [sockets]Watch
	var theirs [sockets]int
	for i := range sockets {
		var ours int
		ours, theirs[i] = pair(t)
		checktest.Must(t, l.Add(&watches[i], ours, handlerFunc(func(Readiness) {
			if read(ours) < 0 {
				return
			}
			if leaves {
				leaves = false
				l.Leave()
			}
			heard.Done()
		})))
	}
	ended := make(chan error)
	go func() {
		for {
			err := l.Run()
			if err != ErrLeft {
				ended <- err
				return
			}
			left := make(chan error)
			go func() { left <- l.Run() }()
			l.Post(l.Leave)
			if err := <-left; err != ErrLeft {
				ended <- err
				return
			}
		}
	}()
	for range rounds {
		heard.Add(sockets)
		do(t, l, func() {
			leaves = true
			for _, fd := range theirs {
				write(t, fd)
			}
		})
		heard.Wait()
	}
	room := make(chan Readiness, 10)
	do(t, l, func() {
		watches[0].handler = handlerFunc(func(r Readiness) { room <- r })
		_ = watches[0].WantRoom(true)
		l.Leave()
	})
	for receive(t, room)&Writable == 0 {
	}
	l.Stop()
	checktest.Equal(t, receive(t, ended), nil)
	checktest.Equal(t, l.Close(), nil)
}

func TestSleepingLoopIsWokenOnce(t *testing.T) {
	event := checktest.Try(unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)).Must(t)
	defer unix.Close(event)
	state := new(int32)
	w := &Waker{Event: event, State: state}
	var token [8]byte
	for _, c := range []struct{ before, tokens int32 }{{Awake, 0}, {Asleep, 1}, {Called, 0}} {
		*state = c.before
		w.Wake()
		w.Wake()
		n, err := unix.Read(event, token[:])
		checktest.Truef(t, (c.tokens != 0 || err == unix.EAGAIN) &&
			(c.tokens != 1 || n == 8 && binary.NativeEndian.Uint64(token[:]) == 1) &&
			*state == Called, "in state %d: read %d, %v, %v; state %d", c.before, n, err, token, *state)
	}
}
