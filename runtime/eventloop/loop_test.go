package eventloop

import (
	"bytes"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

const patience = checktest.Patience

func start(t *testing.T, set func(*Loop)) *Loop {
	t.Helper()
	l := checktest.Try(New()).Must(t)
	if set != nil {
		set(l)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		checktest.Equalf(t, receive(t, ended), nil, "the loop ended")
		checktest.Truef(t, !l.Post(func() {}), "a loop that has ended takes functions")
		checktest.Equal(t, l.Close(), nil)
	})
	return l
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("nothing within %v", patience)
	}
	return v
}

func do(t *testing.T, l *Loop, f func()) {
	t.Helper()
	done := make(chan bool)
	checktest.Needf(t, l.Post(func() { defer close(done); f() }), "the loop has ended")
	receive(t, done)
}

type handlerFunc func(Readiness)

func (f handlerFunc) Ready(r Readiness) { f(r) }

// pair returns the ends of a socket pair, which are closed at the end of the test.
func pair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds := checktest.Try(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)).Must(t)
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

func write(t *testing.T, fd int) {
	t.Helper()
	_, err := unix.Write(fd, []byte("x"))
	checktest.Equal(t, err, nil)
}

// read returns -1 without input.
func read(fd int) int {
	var b [64]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return -1
	}
	return n
}

func TestReadinessIsReportedOncePerChange(t *testing.T) {
	l := start(t, nil)
	ours, theirs := pair(t)
	news := make(chan Readiness, 10)
	var w Watch
	write(t, theirs)
	do(t, l, func() {
		checktest.Equal(t, l.Add(&w, ours, handlerFunc(func(r Readiness) {
			for read(ours) > 0 {
			}
			news <- r
		})), nil)
	})
	r := receive(t, news)
	checktest.Truef(t, r&Readable != 0 && r&(Writable|MaybeGone) == 0, "what had come before: %b", r)
	write(t, theirs)
	r = receive(t, news)
	checktest.Truef(t, r&Readable != 0, "what has come: %b", r)
	do(t, l, func() { _ = w.WantRoom(true) })
	r = receive(t, news)
	checktest.Truef(t, r&Writable != 0, "room: %b", r)
	do(t, l, func() { _ = w.WantRoom(false) })
	unix.Shutdown(theirs, unix.SHUT_WR)
	for r := receive(t, news); r&MaybeGone == 0; r = receive(t, news) {
	}
	do(t, l, func() {
		w.Remove()
		checktest.Truef(t, w.loop == nil && l.watches[ours] == nil, "it is watched still")
	})
}

// If a descriptor is closed and its number is reused during a batch of events, the new descriptor may get an event of
// the old descriptor, without data.
func TestReusedDescriptorMayGetAnEventOfItsPredecessor(t *testing.T) {
	l := start(t, nil)
	first, firstPeer := pair(t)
	old, oldPeer := pair(t)
	var fresh, freshPeer int
	hints := make(chan int, 10)
	var wFirst, wOld, wFresh Watch
	do(t, l, func() {
		replaced := false
		replace := func(mine, other *Watch, otherFD int) handlerFunc {
			return func(Readiness) {
				if replaced {
					return
				}
				replaced = true
				other.Remove()
				unix.Close(otherFD)
				fresh, freshPeer = pair(t)
				checktest.Equal(t, fresh, otherFD)
				checktest.Equal(t, l.Add(&wFresh, fresh, handlerFunc(func(Readiness) { hints <- read(fresh) })), nil)
			}
		}
		_ = l.Add(&wFirst, first, replace(&wFirst, &wOld, old))
		_ = l.Add(&wOld, old, replace(&wOld, &wFirst, first))
		write(t, firstPeer)
		unix.Close(oldPeer)
	})
	checktest.Equalf(t, receive(t, hints), -1, "the new connection read")
	write(t, freshPeer)
	checktest.Equalf(t, receive(t, hints), 1, "the new connection read")
}

// The loop checks for work from threads several times during a large batch.
func TestReadyDescriptorsAreOneBatchWithAnEnd(t *testing.T) {
	const n = 1000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*n+100 {
		t.Fatalf("this test needs %d descriptors, the limit is %d (%v)", 2*n+100, limit.Cur, err)
	}
	var seen, pending, ends, calledAt, callAt int
	done := make(chan bool, 1)
	l := start(t, func(l *Loop) {
		l.OnWake(func() {
			if callAt > 0 && calledAt == 0 {
				calledAt = seen
			}
		})
		l.AtEndOfBatch(func() {
			ends++
			pending = 0
			if seen == n {
				seen = n + 1
				done <- true
			}
		})
	})
	waker := l.Waker()
	var peers []int
	watches := make([]Watch, n)
	do(t, l, func() {
		for i := range n {
			ours, theirs := pair(t)
			peers = append(peers, theirs)
			_ = l.Add(&watches[i], ours, handlerFunc(func(Readiness) {
				if read(ours) < 1 {
					return
				}
				seen++
				pending++
				if seen == 200 {
					callAt = seen
					waker.Wake()
				}
			}))
		}
	})
	do(t, l, func() {
		ends = 0
		for _, fd := range peers {
			write(t, fd)
		}
	})
	receive(t, done)
	do(t, l, func() {
		checktest.Truef(t, ends <= n/2 && pending == 0, "%d ends for %d events, %d without one", ends, n, pending)
		checktest.Truef(t, calledAt != 0 && calledAt <= callAt+lookEvery,
			"called after event %d, seen after %d", callAt, calledAt)
	})
}

// A posted function that always posts itself again does not block the handlers of descriptors.
func TestEndlessTurnsOfAHandlerDoNotBlockOthers(t *testing.T) {
	l := start(t, nil)
	ours, theirs := pair(t)
	otherOurs, otherTheirs := pair(t)
	got := make(chan bool, 1)
	var w, other Watch
	var ended bool
	var again func()
	again = func() {
		if !ended {
			l.Post(again)
		}
	}
	do(t, l, func() {
		_ = l.Add(&w, ours, handlerFunc(func(Readiness) { w.Again() }))
		_ = l.Add(&other, otherOurs, handlerFunc(func(Readiness) {
			if read(otherOurs) > 0 {
				got <- true
			}
		}))
		again()
		write(t, theirs)
	})
	for range 100 {
		write(t, otherTheirs)
		receive(t, got)
	}
	do(t, l, func() { ended = true; w.Remove() })
}

// Events that were ready at the call of AfterPoll are handled before its function, even if other functions that the loop
// calls meanwhile make it repeat its turn, and if there are more events than one wait reports.
func TestFunctionOfAfterPollRunsAfterTheEventsThatWereReady(t *testing.T) {
	l := start(t, nil)
	const n = 300
	peers, watches, seen := make([]int, n), make([]Watch, n), 0
	got := make(chan int, 1)
	do(t, l, func() {
		for i := range n {
			var ours int
			ours, peers[i] = pair(t)
			_ = l.Add(&watches[i], ours, handlerFunc(func(Readiness) { seen += max(0, read(ours)) }))
		}
	})
	for _, posted := range []bool{true, false} {
		seen = 0
		begin := func() {
			for _, fd := range peers {
				write(t, fd)
			}
			l.AfterPoll(func() { got <- seen })
			l.Post(func() { l.Post(func() {}) })
		}
		if posted {
			do(t, l, begin)
		} else {
			do(t, l, func() { l.AfterPoll(begin) })
		}
		checktest.Equalf(t, receive(t, got), n, "events before the function, posted %v", posted)
	}
}

// The loop registers new descriptors late, but before the poll that AfterPoll waits for.
func TestFunctionOfAfterPollRunsAfterTheEventsOfNewDescriptors(t *testing.T) {
	ours, theirs := pair(t)
	var w Watch
	seen, begin := 0, false
	got := make(chan int, 1)
	l := start(t, func(l *Loop) {
		l.AtEndOfBatch(func() {
			if begin {
				begin = false
				write(t, theirs)
				l.AfterPoll(func() { got <- seen })
			}
		})
	})
	do(t, l, func() {
		begin = true
		checktest.Equal(t, l.AddNew(&w, ours, handlerFunc(func(Readiness) { seen += max(0, read(ours)) })), nil)
	})
	checktest.Equalf(t, receive(t, got), 1, "events before the function")
}

func TestPostedFunctionsRunInTheOrderOfTheirGoroutine(t *testing.T) {
	const goroutines, each = 8, 2000
	calls := make(chan bool, 1)
	l := start(t, func(l *Loop) {
		l.OnWake(func() {
			select {
			case calls <- true:
			default:
			}
		})
	})
	var last [goroutines]int
	var wg, ran sync.WaitGroup
	ran.Add(goroutines * each)
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				l.Post(func() {
					checktest.Equalf(t, last[g], i, "goroutine %d: item", g)
					last[g] = i + 1
					ran.Done()
				})
			}
		})
	}
	wg.Wait()
	ran.Wait()
	waker := l.Waker()
	for range 1000 {
		do(t, l, func() {})
		for len(calls) > 0 {
			<-calls
		}
		waker.Wake()
		receive(t, calls)
	}
}

func TestOnceRunsAFunctionOnceForSeveralRequests(t *testing.T) {
	l := start(t, func(*Loop) {})
	runs, again := 0, false
	var ask func()
	ask = l.Once(func() {
		if runs++; again {
			again = false
			ask()
			ask()
		}
	})
	for _, c := range []struct {
		again bool
		want  int
	}{{false, 1}, {true, 3}, {false, 4}} {
		do(t, l, func() {
			again = c.again
			for range 5 {
				ask()
			}
		})
		for range 3 {
			do(t, l, func() {})
		}
		do(t, l, func() { checktest.Equalf(t, runs, c.want, "runs") })
	}
}

// If a posted tick ran first, it would time out a response that a thread has already finished.
func TestFinishedResponsesPrecedePostedFunctions(t *testing.T) {
	var order []string
	recording := false
	orders := make(chan []string, 1)
	l := start(t, func(l *Loop) {
		l.OnWake(func() {
			if recording {
				order = append(order, "wake")
			}
		})
		l.AtEndOfBatch(func() {
			if recording && len(order) > 0 {
				recording = false
				orders <- append(order, "end")
			}
		})
	})
	waker := l.Waker()
	for range 100 {
		do(t, l, func() {
			order, recording = nil, true
			l.Post(func() { order = append(order, "post") })
			waker.Wake()
		})
		got := receive(t, orders)
		checktest.Needf(t, slices.Equal(got, []string{"wake", "post", "end"}), "%v", got)
	}
}

func TestPanicEndsOneCallbackNotTheLoop(t *testing.T) {
	panics := make(chan any, 10)
	var breaks bool
	l := start(t, func(l *Loop) {
		l.OnPanic(func(h Handler, p any) {
			stack := debug.Stack()
			checktest.Truef(t, (h != nil) == (p == "handler") && bytes.Contains(stack, []byte("TestPanicEndsOneCallback")), "%v: handler %v", p, h)
			panics <- p
		})
		l.AtEndOfBatch(func() {
			if breaks {
				breaks = false
				panic("end")
			}
		})
	})
	l.Post(func() { panic("post") })
	p := receive(t, panics)
	checktest.Truef(t, p == "post", "%v", p)
	l.Post(func() { breaks = true })
	p = receive(t, panics)
	checktest.Truef(t, p == "end", "%v", p)
	ours, theirs := pair(t)
	var w Watch
	do(t, l, func() { _ = l.Add(&w, ours, handlerFunc(func(Readiness) { panic("handler") })) })
	for range 3 {
		write(t, theirs)
		p := receive(t, panics)
		checktest.Truef(t, p == "handler", "%v", p)
	}
}

func TestPostedFunctionsHaveRunWhenRunReturns(t *testing.T) {
	for range 50 {
		l := checktest.Try(New()).Must(t)
		ended := make(chan error, 1)
		go func() { ended <- l.Run() }()
		taken, ran := 0, 0
		var posting sync.WaitGroup
		posting.Go(func() {
			for l.Post(func() { ran++ }) {
				taken++
			}
		})
		l.Stop()
		checktest.Equal(t, receive(t, ended), nil)
		posting.Wait()
		checktest.Equalf(t, taken, ran, "functions taken")
		l.Close()
	}
}

func TestBusyReportsPostsCallsAndEvents(t *testing.T) {
	l := start(t, nil)
	ours, theirs := pair(t)
	var w Watch
	do(t, l, func() { _ = l.Add(&w, ours, handlerFunc(func(Readiness) { read(ours) })) })
	waker := l.Waker()
	var idle, posted, called, event bool
	// Wait until the loop is not busy, because the previous Post may still be returning, although its function has run.
	for !idle {
		do(t, l, func() { idle = !l.Busy() })
	}
	do(t, l, func() {
		l.Post(func() {})
		posted = l.Busy()
	})
	do(t, l, func() {
		waker.Wake()
		called = l.Busy()
	})
	do(t, l, func() {})
	do(t, l, func() {
		write(t, theirs)
		event = l.Busy()
	})
	checktest.Truef(t, posted && called && event, "%v %v %v", posted, called, event)
}

func TestHandlerIsToldThatThePollerRejectsADescriptor(t *testing.T) {
	l := start(t, nil)
	ours, theirs := pair(t)
	unix.Close(theirs)
	unix.Close(ours)
	told := make(chan Readiness, 10)
	var w Watch
	do(t, l, func() { _ = l.AddNew(&w, ours, handlerFunc(func(r Readiness) { told <- r })) })
	for r := receive(t, told); r != Unwatched; r = receive(t, told) {
	}
	watched := true
	do(t, l, func() { watched = w.loop != nil })
	checktest.Truef(t, !watched, "its watch goes on")
}

func TestRoomMayBeRequestedBeforeADescriptorIsWatched(t *testing.T) {
	l := start(t, nil)
	ours, _ := pair(t)
	told := make(chan Readiness, 10)
	var w Watch
	do(t, l, func() {
		_ = l.AddNew(&w, ours, handlerFunc(func(r Readiness) { told <- r }))
		checktest.Equal(t, w.WantRoom(true), nil)
	})
	for r := receive(t, told); r&Writable == 0; r = receive(t, told) {
	}
}
