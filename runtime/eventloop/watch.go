package eventloop

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
