package eventloop

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// Loop calls handlers when there is news of their descriptors. Its methods must be called on the loop, that is in
// functions that the loop calls, unless their comments say otherwise.
type Loop struct {
	poller  poller
	wake    wake
	end     queue.Func // endOfEvents, for the poller; nil: Run was not called yet
	events  uint       // reported so far
	begun   bool       // a batch has begun, and its end is on its way
	watches []*Watch   // by descriptor
	again   []*Watch   // those that want another turn
	added   []*Watch   // those of AddNew that the poller does not know yet
	settled int        // how many of them were there when the last batch ended
	turns   []*Watch   // scratch of runAgain
	posts   posts

	onWake     func()
	endOfBatch func()
	onPanic    func(h Handler, p any, stack []byte)

	stopped bool      // Stop was called
	left    bool      // Leave was called
	yielded time.Time // when Go last rescheduled the loop: see yieldEvery
}

// New makes a loop that nothing is watched by. The error is one line. It is safe for concurrent use.
func New() (*Loop, error) {
	l := &Loop{
		onWake:     func() {},
		endOfBatch: func() {},
		onPanic:    func(_ Handler, p any, _ []byte) { panic(p) },
	}
	if err := l.poller.open(); err != nil {
		return nil, err
	}
	if err := l.wake.open(&l.poller); err != nil {
		l.poller.close()
		return nil, err
	}
	return l, nil
}

// OnWake makes the loop call f when a thread has woken it (Waker.Wake), or a function was posted. f is called before
// handlers and posted functions, so that finished answers of threads do not wait for new requests. Call it before Run.
func (l *Loop) OnWake(f func()) { l.onWake = f }

// AtEndOfBatch makes the loop call f at the end of each batch. Call it before Run.
func (l *Loop) AtEndOfBatch(f func()) { l.endOfBatch = f }

// OnPanic makes the loop call f, in place of ending the program, when a handler has panicked with p;
// h is nil if a posted function, or one of OnWake or AtEndOfBatch, has. Call it before Run.
func (l *Loop) OnPanic(f func(h Handler, p any, stack []byte)) { l.onPanic = f }

// ErrLeft is the result of Run after Leave.
var ErrLeft = errors.New("another goroutine runs the event loop")

// Run is the loop. It returns nil after Stop, ErrLeft after Leave, or else why it cannot go on. Functions that were posted
// before it returns have run; later ones are refused, but not after Leave.
func (l *Loop) Run() error {
	err := l.poll()
	if l.left && err == nil && !l.stopped {
		l.left = false
		return ErrLeft
	}
	for _, f := range l.posts.close() {
		l.call(f)
	}
	return err
}

// Stop makes Run return, soon. It is safe for concurrent use.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Leave makes Run return, so that it can be called once more, on any goroutine. No event is lost between the two. It is
// called on the loop.
func (l *Loop) Leave() { l.left = true }

// Close gives back the descriptors of a loop whose Run has returned, or was never called. Threads must
// not use its Waker any more. It is safe for concurrent use.
func (l *Loop) Close() error {
	err := l.poller.close()
	l.wake.close()
	return err
}

// Intact returns an error, of one line, if the loop can report nothing any more because one of its descriptors was
// closed or is another file now: applications close descriptors of the server (os.closerange). It is safe for concurrent
// use, between New and Close.
func (l *Loop) Intact() error { return l.poller.intact(l.wake.waker.Event) }

// Post makes the loop call f, soon, after all that was posted before. It returns false if the loop has
// ended. It is safe for concurrent use.
func (l *Loop) Post(f func()) bool {
	return l.posts.add(f, &l.wake.waker)
}

// Once returns a function that makes the loop call f, soon: once for all its calls until f begins. It is safe for concurrent use, and so
// is Once.
func (l *Loop) Once(f func()) (ask func()) {
	var asked atomic.Bool
	run := func() {
		asked.Store(false)
		f()
	}
	return func() {
		if asked.CompareAndSwap(false, true) {
			l.Post(run)
		}
	}
}

// Waker returns what wakes the loop; its Signals is not set. It is safe for concurrent use.
func (l *Loop) Waker() Waker { return l.wake.waker }

// Busy reports whether functions were posted, threads have called or events have come since the last batch.
func (l *Loop) Busy() bool { return l.wake.isCalled() || l.poller.hasEvents() }

// begin is the beginning of a batch. From now on threads need not wake the loop.
func (l *Loop) begin() {
	if atomic.SwapInt32(l.wake.waker.State, Awake) == Called {
		l.call(l.onWake)
	}
}

// turn does the work behind the events of a batch, or of a part of it: calls of threads, posted functions, second turns of handlers.
func (l *Loop) turn() {
	l.begin()
	if l.posts.waits.Load() {
		for _, f := range l.posts.take() {
			l.call(f)
		}
	}
	if len(l.again) > 0 {
		l.runAgain()
	}
	l.call(l.endOfBatch)
	if len(l.added) > 0 {
		l.register(l.settled)
		l.settled = len(l.added)
	}
	if now := time.Now(); now.Sub(l.yielded) > yieldEvery {
		l.yielded = now
		runtime.Gosched()
	}
}

// call calls a posted function, or the one of OnWake or AtEndOfBatch.
func (l *Loop) call(f func()) {
	defer l.recovered(nil)
	f()
}

// ready calls a handler.
func (l *Loop) ready(h Handler, r Readiness) {
	defer l.recovered(h)
	h.Ready(r)
}

// recovered ends a panic, which would end the poller, and lose events that are not reported again.
func (l *Loop) recovered(h Handler) {
	if p := recover(); p != nil {
		l.onPanic(h, p, debug.Stack())
	}
}

// yieldEvery is how often Go may reschedule a busy loop. It hardly ever does so by itself, and when the loop
// calls C, Go's monitor takes its processor away 10 ms after it was rescheduled last, and looks every 20 µs for a while
// whether it must again: thousands of thread switches a second, 8 % of the CPU of a JSON handler.
const yieldEvery = 4 * time.Millisecond
