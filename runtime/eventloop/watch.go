package eventloop

// Readiness is a set of bits for the events of a descriptor, which are only hints (see the package comment).
type Readiness uint8

const (
	Readable Readiness = 1 << iota // input, or the end of the input, can be read
	// the descriptor has room for output; not reported before WantRoom(true)
	Writable
	// the peer has shut down its sending side or disconnected, or the connection is broken
	MaybeGone
	// more input can follow a short read, because recv stops at urgent data
	Urgent
	// the descriptor could not be watched, and the watch has ended (see AddNew)
	Unwatched
)

// Handler handles the events of a descriptor. Ready is called on the loop, must not block, and may remove the handler's
// watch.
type Handler interface{ Ready(r Readiness) }

// A Watch makes a Loop watch a descriptor. The zero value is unused. The methods of Watch must be called on the loop.
type Watch struct {
	loop    *Loop
	handler Handler
	fd      int32
	queued  bool
	room    bool
	waits   bool
}

// Add makes the loop watch a non-blocking descriptor. The watch w must be unused. If input already waits, the loop
// reports it, too.
func (l *Loop) Add(w *Watch, fd int, h Handler) error {
	if err := l.poller.add(fd); err != nil {
		return err
	}
	l.put(w, fd, h)
	return nil
}

// AddNew does the same as Add, but registers the descriptor later. This saves work if the descriptor is closed soon,
// for example after a single request. In the current batch, the loop calls the handler once, as if the descriptor were
// readable. The loop registers the descriptor with the poller when the loop is idle, or at the end of the next batch.
// If the registration fails, the handler receives Unwatched.
func (l *Loop) AddNew(w *Watch, fd int, h Handler) error {
	l.put(w, fd, h)
	w.waits = true
	l.added = append(l.added, w)
	w.Again()
	return nil
}

// AddVirtual begins the watch w, which must be unused, without a descriptor. The loop calls h only after Again.
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

// WantRoom sets whether the loop reports Writable. If the descriptor already has room for output, the loop reports
// this, too.
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

// Again makes the loop call the handler once more, as if the descriptor were readable, after it has called other
// handlers.
func (w *Watch) Again() {
	if w.loop == nil || w.queued {
		return
	}
	w.queued = true
	w.loop.again = append(w.loop.again, w)
}

// Remove ends the watch, and must be called before the descriptor is closed.
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

// runAgain calls the handlers that requested a turn with Again before this call. Calls of Again during runAgain are for
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
