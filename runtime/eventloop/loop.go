package eventloop

import (
	"errors"
	"runtime"
	"runtime/debug"
	"time"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"

	"fapws/runtime/exchange"
)

// Loop calls handlers when there is news of their descriptors. Its methods must be called on the
// loop, that is by what the loop calls, unless their comments say otherwise.
type Loop struct {
	poller  *netpoll.Poller
	wake    wake
	watches []*Watch // by descriptor
	again   []*Watch // those that want another turn
	turns   []*Watch // scratch of runAgain
	posts   posts

	endOfBatch func(called bool)
	onPanic    func(h Handler, p any, stack []byte)

	events    uint      // reported so far
	first     uint      // the number of the first event of the batch that is measured
	measuring bool      // the end of the batch on its way says how large the batch was
	ending    bool      // the end of a batch is on its way
	alone     bool      // the last batch that was measured had one event
	stopped   bool      // Stop was called
	yielded   time.Time // when Go last rescheduled the loop: see yield
}

// New makes a loop that nothing is watched by. The error is one line. It is safe for concurrent use.
func New() (*Loop, error) {
	l := &Loop{
		alone:      true,
		endOfBatch: func(bool) {},
		onPanic:    func(_ Handler, p any, _ []byte) { panic(p) },
	}
	var err error
	if l.poller, err = netpoll.OpenPoller(); err != nil {
		return nil, err
	}
	if err = l.wake.open(l.poller); err != nil {
		l.poller.Close()
		return nil, err
	}
	return l, nil
}

// AtEndOfBatch makes the loop call f at the end of each batch. called: a thread has woken the loop
// (exchange.Waker.Wake) since the last one. Call it before Run.
func (l *Loop) AtEndOfBatch(f func(called bool)) { l.endOfBatch = f }

// OnPanic makes the loop call f, in place of ending the program, when a handler has panicked with p;
// h is nil if a posted function or the one of AtEndOfBatch has. Call it before Run.
func (l *Loop) OnPanic(f func(h Handler, p any, stack []byte)) { l.onPanic = f }

// Run is the loop. It returns nil after Stop, or else why it cannot go on. Functions that were
// posted before it returns have run; later ones are refused.
func (l *Loop) Run() error {
	err := l.poller.Polling(l.event)
	for _, f := range l.posts.close() {
		l.call(f)
	}
	if l.stopped && errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// Stop makes Run return, soon. It is safe for concurrent use.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Close gives back the descriptors of a loop whose Run has returned, or was never called. Threads must
// not use its Waker any more. It is safe for concurrent use.
func (l *Loop) Close() error {
	err := l.poller.Close()
	l.wake.close()
	return err
}

// Post makes the loop call f, soon, after all that was posted before. It returns false if the loop has
// ended. It is safe for concurrent use.
func (l *Loop) Post(f func()) bool {
	if !l.posts.add(f) {
		return false
	}
	l.wake.waker.Wake()
	return true
}

// Waker returns what wakes the loop; its Signals is not set. It is safe for concurrent use.
func (l *Loop) Waker() exchange.Waker { return l.wake.waker }

// Busy reports whether functions were posted or threads have called since the end of the last batch.
func (l *Loop) Busy() bool { return l.wake.isCalled() }

const (
	// lookEvery is after how many events of a batch the loop looks whether threads have called: what
	// they have finished does not wait for ten thousand connections.
	lookEvery = 32

	// measureEvery is after how many single events the loop looks whether batches are still that small.
	measureEvery = 16
)

// event is called by the poller for each descriptor of which there is news. Its error ends the loop.
func (l *Loop) event(fd int, e netpoll.IOEvent, flags netpoll.IOFlags) error {
	if fd == l.wake.fd {
		return l.woken()
	}
	if fd >= len(l.watches) || l.watches[fd] == nil {
		return nil // removed in this batch
	}
	l.events++
	if !l.ending {
		l.wake.rise()
		if !l.alone || l.events%measureEvery == 0 {
			l.measuring, l.first = true, l.events
			l.endSoon()
		}
	}
	l.ready(l.watches[fd], readiness(e, flags))
	if !l.ending || l.events%lookEvery == 0 && l.wake.isCalled() {
		l.end()
	}
	return l.result()
}

// woken is the event of the wake-up descriptor: the batch has ended, or a thread has called.
func (l *Loop) woken() error {
	l.wake.drain()
	if l.measuring {
		l.measuring, l.alone = false, l.events-l.first < 1
	}
	if !l.ending && !l.wake.isCalled() {
		return nil // it was seen when another batch ended
	}
	l.ending = false
	l.end()
	return l.result()
}

// endSoon writes to the wake-up descriptor, so that the batch ends behind the events that are ready.
func (l *Loop) endSoon() {
	l.ending = true
	l.wake.ring()
}

// end is the end of a batch.
func (l *Loop) end() {
	called := l.wake.called()
	for _, f := range l.posts.take() {
		l.call(f)
	}
	l.runAgain()
	l.finish(called)
	if l.ending {
		return // it was called early, and follows once more
	}
	if len(l.again) > 0 || !l.wake.sleep() {
		l.endSoon()
	}
	l.yield()
}

func (l *Loop) finish(called bool) {
	defer l.recovered(nil)
	l.endOfBatch(called)
}

// result is what the poller has to know: nothing, or that it has to end.
func (l *Loop) result() error {
	if l.stopped {
		return gneterrors.ErrEngineShutdown
	}
	return nil
}

// call calls a posted function.
func (l *Loop) call(f func()) {
	defer l.recovered(nil)
	f()
}

// ready calls a handler.
func (l *Loop) ready(w *Watch, r Readiness) {
	defer l.recovered(w.handler)
	w.handler.Ready(r)
}

// recovered ends a panic, which would end the poller, and lose events that are not reported again.
func (l *Loop) recovered(h Handler) {
	if p := recover(); p != nil {
		l.onPanic(h, p, debug.Stack())
	}
}

// yieldEvery is well below the 10 ms after which Go takes the processor from a goroutine that was
// never rescheduled.
const yieldEvery = 4 * time.Millisecond

// yield lets Go reschedule a busy loop now and then. It hardly ever does so by itself, and when the loop
// calls C, Go's monitor then takes its processor away every 10 ms, and looks every 20 µs for a while
// whether it must again: thousands of thread switches a second, 8 % of the CPU of a JSON handler.
func (l *Loop) yield() {
	if now := time.Now(); now.Sub(l.yielded) > yieldEvery {
		l.yielded = now
		runtime.Gosched()
	}
}
