package eventloop

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// poller waits with gnet's, which does not tell where a batch ends: with the first event of one, endBehind has a function called behind
// those that are ready.
type poller struct {
	gnet *netpoll.Poller
	own  descriptors // of gnet
}

// lookEvery is after how many events of a batch the loop looks whether threads have called: what they have finished does not
// wait for ten thousand connections.
const lookEvery = 32

func (p *poller) open() (err error) {
	if p.gnet, err = netpoll.OpenPoller(); err != nil {
		return err
	}
	if p.own, err = find(p.gnet); err != nil {
		p.gnet.Close()
	}
	return err
}

func (p *poller) close() error { return p.gnet.Close() }

func (p *poller) add(fd int) error { return p.gnet.AddRead(&netpoll.PollAttachment{FD: fd}, true) }

func (p *poller) wantRoom(fd int, want bool) error {
	pa := netpoll.PollAttachment{FD: fd}
	if want {
		return p.gnet.ModReadWrite(&pa, true)
	}
	return p.gnet.ModRead(&pa, true)
}

// Failing, it is not watched.
func (p *poller) remove(fd int) { _ = p.gnet.Delete(fd) }

// poll runs the poller. It returns nil after Stop and Leave.
func (l *Loop) poll() error {
	if l.end == nil {
		l.end = l.endOfEvents
	} else {
		l.goOn()
	}
	err := l.poller.gnet.Polling(l.event)
	if (l.stopped || l.left) && errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// goOn makes up for the events that Polling has dropped when it returned. Where a descriptor is modified, even to what it is, its
// events are reported again (epoll_ctl(2)).
func (l *Loop) goOn() {
	for _, w := range l.watches {
		if w != nil && !w.waits {
			_ = l.poller.wantRoom(int(w.fd), w.room) // failing, it is not watched
		}
	}
	l.wake.ring()
}

// event is called by gnet's poller. Its error ends poll.
func (l *Loop) event(fd int, e netpoll.IOEvent, _ netpoll.IOFlags) error {
	if !l.begun && (l.stopped || l.left) {
		return gneterrors.ErrEngineShutdown
	}
	if !l.begun {
		l.begun = true
		l.poller.endBehind(l.end)
		l.begin()
	}
	if fd < len(l.watches) && l.watches[fd] != nil { // else it was removed in this batch, or wakes the loop
		l.ready(l.watches[fd].handler, readiness(e))
	}
	if l.events++; l.events%lookEvery == 0 && l.wake.isCalled() {
		l.turn()
	}
	return nil
}

// endOfEvents is called at the end of a batch, as a task of gnet.
func (l *Loop) endOfEvents(any) error {
	l.begun = false
	l.turn()
	if l.stopped || l.left || len(l.again) > 0 || !atomic.CompareAndSwapInt32(l.wake.waker.State, Awake, Asleep) {
		l.wake.ring() // for another batch: threads that have called meanwhile have not woken the loop
		return nil
	}
	if len(l.added) > 0 {
		l.register(len(l.added))
	}
	l.settled = 0
	l.poller.wait()
	return nil
}

// quiet is gnet's log: Run returns the error, and gnet's own log would write to standard output.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func init() { logging.SetDefaultLoggerAndFlusher(quiet{}, nil) }

// Readiness says what may be done with a descriptor. All of it are hints: see the package comment.
type Readiness uint8

const (
	Readable  Readiness = 1 << iota // something has come, or the end of it
	Writable                        // there is room; only reported if WantRoom has asked for it
	MaybeGone                       // the peer has shut down its side, has left, or the connection is broken
	Urgent                          // a short read does not mean that nothing is left: recv stops at urgent data
	Unwatched                       // the descriptor cannot be watched after all, and the watch has ended: see AddNew
)

// Handler is told of news. Ready is called on the loop, must not block, and may remove its watch.
type Handler interface{ Ready(r Readiness) }

// Watch is a descriptor that a loop watches. Its zero value is not watched. Its methods must be called on
// the loop.
type Watch struct {
	loop    *Loop
	handler Handler
	fd      int32
	queued  bool // it is in Loop.again
	room    bool
	waits   bool // it is in Loop.added: the poller does not know it yet
}

// Add begins to watch a descriptor, which must not block, with w, which must not be in use. Events from before are
// reported, too.
func (l *Loop) Add(w *Watch, fd int, h Handler) error {
	if err := l.poller.add(fd); err != nil {
		return err
	}
	l.put(w, fd, h)
	return nil
}

// AddNew is Add of a descriptor that may be closed within this batch, or the next, as connections with a single request are. Its
// handler has a turn in this batch, as if the descriptor were readable; the poller is told of it when the loop has nothing else
// to do, and at the end of the next batch at the latest. If the poller refuses it, the handler is told (Unwatched).
func (l *Loop) AddNew(w *Watch, fd int, h Handler) error {
	l.put(w, fd, h)
	w.waits = true
	l.added = append(l.added, w)
	w.Again()
	return nil
}

// AddVirtual begins a watch of something without a descriptor, with w, which must not be in use: its news come from Again.
func (l *Loop) AddVirtual(w *Watch, h Handler) {
	*w = Watch{loop: l, handler: h, fd: -1, queued: w.queued}
}

func (l *Loop) put(w *Watch, fd int, h Handler) {
	for fd >= len(l.watches) {
		l.watches = append(l.watches, nil)
	}
	l.watches[fd] = w
	*w = Watch{loop: l, handler: h, fd: int32(fd), queued: w.queued}
}

// register tells the poller of the first n descriptors of AddNew.
func (l *Loop) register(n int) {
	for i, w := range l.added[:n] {
		l.added[i] = nil
		if w.waits {
			w.register()
		}
	}
	l.added = append(l.added[:0], l.added[n:]...)
}

func (w *Watch) register() {
	w.waits = false
	err := w.loop.poller.add(int(w.fd))
	if err == nil && w.room {
		err = w.loop.poller.wantRoom(int(w.fd), true)
	}
	if err != nil {
		l, h := w.loop, w.handler
		w.Remove()
		l.ready(h, Unwatched)
	}
}

// WantRoom says whether room in the socket is news (Writable). If there is room already, it is.
func (w *Watch) WantRoom(want bool) error {
	if w.loop == nil || w.room == want {
		return nil
	}
	w.room = want
	if w.waits || w.fd < 0 {
		return nil
	}
	return w.loop.poller.wantRoom(int(w.fd), want)
}

// Again lets the handler have another turn, as if the descriptor were readable, when others have had theirs.
func (w *Watch) Again() {
	if w.loop == nil || w.queued {
		return
	}
	w.queued = true
	w.loop.again = append(w.loop.again, w)
}

// Remove ends the watch. Call it before the descriptor is closed.
func (w *Watch) Remove() {
	l := w.loop
	if l == nil {
		return
	}
	if w.fd >= 0 && l.watches[w.fd] == w {
		l.watches[w.fd] = nil
		if !w.waits {
			l.poller.remove(int(w.fd))
		}
	}
	*w = Watch{queued: w.queued}
}

// runAgain gives handlers the turns that they have asked for. Handlers that ask once more have it after
// the next batch.
func (l *Loop) runAgain() {
	l.turns, l.again = l.again, l.turns[:0]
	for i, w := range l.turns {
		l.turns[i] = nil
		w.queued = false
		if w.loop != nil {
			l.ready(w.handler, Readable)
		}
	}
}

// wake is what gets the loop out of its sleep: a descriptor, and the word that says whether it has to be
// written to.
type wake struct {
	waker Waker
	page  []byte // with waker.State
}

// open makes a wake-up descriptor that p watches.
func (w *wake) open(p *poller) (err error) {
	if w.waker.Event, err = openEvent(); err != nil {
		return err
	}
	w.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		unix.Close(w.waker.Event)
		return os.NewSyscallError("mmap", err)
	}
	w.waker.State = (*int32)(unsafe.Pointer(unsafe.SliceData(w.page)))
	*w.waker.State = Asleep
	if err = p.add(w.waker.Event); err != nil {
		unix.Close(w.waker.Event)
		return err
	}
	return nil
}

// The word stays mapped: threads that end late may still set it.
func (w *wake) close() { unix.Close(w.waker.Event) }

// ring makes the descriptor an event.
func (w *wake) ring() { writeEvent(w.waker.Event) }

func (w *wake) isCalled() bool { return atomic.LoadInt32(w.waker.State) == Called }

// posts are functions that other goroutines want to be called on the loop, in order.
type posts struct {
	waits  atomic.Bool // list has some
	mu     sync.Mutex
	list   []func()
	spare  []func() // what take returned last
	closed bool
}

// add returns false if the loop has ended: its descriptors may be closed then, so the mutex is held until it was woken.
func (q *posts) add(f func(), w *Waker) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.list = append(q.list, f)
	q.waits.Store(true)
	w.Wake()
	return true
}

// take returns the waiting functions, which are valid until the next call.
func (q *posts) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waits.Store(false)
	clear(q.spare) // functions hold memory
	q.list, q.spare = q.spare[:0], q.list
	return q.spare
}

// close refuses later functions and returns those that wait.
func (q *posts) close() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.list
}

// Waker wakes the loop, from any thread.
//
// To wake it, a thread sets *State to Called and, if it was Asleep before, writes to Event, once: a loop that is
// awake looks at *State before it sleeps.
type Waker struct {
	Event   int    // eventfd, non-blocking
	State   *int32 // outside of Go's heap, so that C may keep it
	Signals int    // stream socket, non-blocking; a byte other than zero is Handler.Signalled

	// SendNow, if not nil, sends finished parts. An inline handler calls it within Handler.Flush, on the loop, where
	// a part must not wait for the rest of the handler.
	SendNow func()

	// AskForSender, if not nil, has another goroutine send finished parts during the next calls of Handler.Flush. An inline handler calls it behind
	// one in which a response would have gone on with that. On the loop.
	AskForSender func()
}

// What *Waker.State says of the loop. CORE_LOOP_ in pybridge/core.h has the same values.
const (
	Awake  = 0
	Asleep = 1
	Called = 2 // to be woken, or to look before it sleeps
)

// Wake wakes the loop. Any goroutine.
func (w *Waker) Wake() {
	if atomic.SwapInt32(w.State, Called) != Asleep {
		return
	}
	writeEvent(w.Event)
}
