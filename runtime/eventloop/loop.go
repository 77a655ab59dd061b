package eventloop

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"
)

// Loop calls the handlers of ready descriptors. Its methods must be called on the loop, unless their comments say
// otherwise.
type Loop struct {
	poller  poller
	wake    wake
	ran     bool // Run was called before
	events  uint
	begun   bool     // a batch has begun, and its end has not
	watches []*Watch // watches, indexed by descriptor
	again   []*Watch
	added   []*Watch // watches of AddNew that are not registered with the poller yet
	settled int      // length of the field added at the end of the last batch
	turns   []*Watch
	posts   posts
	polled  []func() // functions of AfterPoll that run at the end of this batch
	later   []func() // functions of AfterPoll that run at the end of the next batch

	onWake     func()
	endOfBatch func()
	onPanic    func(h Handler, p any)

	stopped bool
	left    bool
	yielded time.Time // time of the last Gosched (see yieldEvery)
}

// New makes a loop without watches, or returns an error of one line. New is safe for concurrent use.
func New() (*Loop, error) {
	l := &Loop{
		onWake:     func() {},
		endOfBatch: func() {},
		onPanic:    func(_ Handler, p any) { panic(p) },
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

// OnWake makes the loop call f when a thread has woken the loop (Waker.Wake) or a function was posted. OnWake must be
// called before Run. f runs before handlers and posted functions, so that responses that threads have finished are sent
// before new requests are handled.
func (l *Loop) OnWake(f func()) { l.onWake = f }

// AtEndOfBatch makes the loop call f at the end of each batch. AtEndOfBatch must be called before Run.
func (l *Loop) AtEndOfBatch(f func()) { l.endOfBatch = f }

// OnPanic makes the loop call f when the handler h has panicked with p; the program continues. h is nil if the panic
// was in a posted function, or in the function of OnWake or AtEndOfBatch. The stack of the goroutine still contains the
// panic. OnPanic must be called before Run.
func (l *Loop) OnPanic(f func(h Handler, p any)) { l.onPanic = f }

var ErrLeft = errors.New("another goroutine runs the event loop")

// Run runs the loop. Run returns nil after Stop, ErrLeft after Leave, and otherwise the error that ended the loop. When
// Run returns, all posted functions have run. Except after Leave, Post then refuses functions.
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

// Stop makes Run return nil. Stop is safe for concurrent use.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Leave makes Run return, so that a different goroutine can call Run again without losing an event. Leave must be
// called on the loop.
func (l *Loop) Leave() { l.left = true }

// Close closes the descriptors of a loop that does not run. Threads must no longer use its Waker. Close is safe for
// concurrent use.
func (l *Loop) Close() error {
	err := l.poller.close()
	l.wake.close()
	return err
}

// Intact returns a one-line error if one of the loop's descriptors was closed or refers to a different file.
// Applications can cause this if they close descriptors of the server (os.closerange). Intact is safe for concurrent
// use, between New and Close.
func (l *Loop) Intact() error { return l.poller.intact(l.wake.waker.Event) }

// Post makes the loop call f soon, after all functions that were posted earlier, or returns false if the loop has
// ended. Post is safe for concurrent use.
func (l *Loop) Post(f func()) bool {
	return l.posts.add(f, &l.wake.waker)
}

// AfterPoll makes the loop call f at the end of the next batch, when all events have been handled that were ready before
// the call of AfterPoll. AfterPoll must be called on the loop.
func (l *Loop) AfterPoll(f func()) { l.later = append(l.later, f) }

// Once returns the function ask, which posts f. If f is already posted and has not begun, ask does nothing. Once and
// the returned function are safe for concurrent use.
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

// Waker returns the Waker of the loop, without Signals. Any goroutine may call it.
func (l *Loop) Waker() Waker { return l.wake.waker }

func (l *Loop) Busy() bool { return l.wake.isCalled() || l.poller.hasEvents() }

// begin marks the loop as awake, so that threads do not write to the eventfd until the end of the batch.
func (l *Loop) begin() {
	if atomic.SwapInt32(l.wake.waker.State, Awake) == Called {
		l.call(l.onWake)
	}
}

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
	if len(l.polled) > 0 && !l.begun {
		for i, f := range l.polled {
			l.polled[i] = nil
			l.call(f)
		}
		l.polled = l.polled[:0]
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

func (l *Loop) call(f func()) {
	defer l.recovered(nil)
	f()
}

func (l *Loop) ready(h Handler, r Readiness) {
	defer l.recovered(h)
	h.Ready(r)
}

// recovered recovers from a panic. Otherwise the panic would end the poller, and events that are not reported again
// would be lost.
func (l *Loop) recovered(h Handler) {
	if p := recover(); p != nil {
		l.onPanic(h, p)
	}
}

// yieldEvery is the interval at which a busy loop calls Gosched. Otherwise Go's monitor thread preempts a loop that
// calls C code: 10 ms after the last Gosched, the monitor thread gives the loop's P to another thread, and then polls
// every 20 µs for a while. This polling causes thousands of thread switches each second.
const yieldEvery = 4 * time.Millisecond
