package eventloop

import (
	"errors"

	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// poller waits with gnet's, which does not tell where a batch ends: with the first event of one, endBehind has end called behind those
// that are ready.
type poller struct {
	gnet *netpoll.Poller
	loop *Loop
	own  descriptors // of gnet

	task   queue.Func // end, for endBehind
	events uint       // reported so far
	begun  bool       // a batch has begun, and its end is on its way
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

func (p *poller) run(l *Loop) error {
	if p.loop == l {
		p.goOn()
	}
	p.loop, p.task = l, p.end
	err := p.gnet.Polling(p.event)
	if (l.stopped || l.left) && errors.Is(err, gneterrors.ErrEngineShutdown) {
		return nil
	}
	return err
}

// goOn makes up for the events that Polling has dropped when it returned. Where a descriptor is modified, even to what it is, its
// events are reported again (epoll_ctl(2)).
func (p *poller) goOn() {
	for _, w := range p.loop.watches {
		if w != nil && !w.waits {
			_ = p.wantRoom(int(w.fd), w.room) // failing, it is not watched
		}
	}
	p.loop.wake.ring()
}

// event is called by gnet's poller. Its error ends run.
func (p *poller) event(fd int, e netpoll.IOEvent, flags netpoll.IOFlags) error {
	l := p.loop
	wakes := fd == l.wake.fd
	if wakes {
		l.wake.drain()
	}
	if !p.begun && (l.stopped || l.left) {
		return gneterrors.ErrEngineShutdown
	}
	if wakes && endsByWake {
		return p.end(nil)
	}
	if !p.begun {
		p.begun = true
		p.endBehind()
		l.begin()
	}
	if !wakes {
		l.event(fd, readiness(e, flags))
	}
	if p.events++; p.events%lookEvery == 0 && l.wake.isCalled() {
		l.begin()
		l.end()
	}
	return nil
}

// end is called at the end of a batch, as a task of gnet.
func (p *poller) end(any) error {
	l := p.loop
	p.begun = false
	l.begin()
	l.end()
	if l.stopped || l.left || !l.sleep() {
		l.wake.ring() // for another batch
	} else {
		p.wait()
	}
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

var errDescriptor = errors.New("the poller has this descriptor for itself")

// Add begins to watch a descriptor, which must not block, with w, which must not be in use. Events from before are
// reported, too.
func (l *Loop) Add(w *Watch, fd int, h Handler) error {
	if fd == pollersOwn {
		return errDescriptor
	}
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
	if fd == pollersOwn {
		return errDescriptor
	}
	l.put(w, fd, h)
	w.waits = true
	l.added = append(l.added, w)
	w.Again()
	return nil
}

// AddVirtual begins a watch of something without a descriptor, with w, which must not be in use: its news come from Again and Notify.
func (l *Loop) AddVirtual(w *Watch, h Handler) {
	*w = Watch{loop: l, handler: h, fd: -1, queued: w.queued}
}

// Notify tells the handler of news at once. It is for watches of AddVirtual.
func (w *Watch) Notify(r Readiness) {
	if w.loop != nil {
		w.loop.ready(w.handler, r)
	}
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

// Watched reports whether w watches a descriptor.
func (w *Watch) Watched() bool { return w.loop != nil }

// Handle lets h be the handler from now on.
func (w *Watch) Handle(h Handler) { w.handler = h }

// Fd returns the descriptor that w watches, or -1.
func (w *Watch) Fd() int {
	if w.loop == nil {
		return -1
	}
	return int(w.fd)
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
	if len(l.again) == 0 {
		return
	}
	l.turns, l.again = l.again, l.turns[:0]
	for i, w := range l.turns {
		l.turns[i] = nil
		w.queued = false
		if w.loop != nil {
			l.ready(w.handler, Readable)
		}
	}
}
