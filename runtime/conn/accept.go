package conn

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

const (
	// acceptsAtOnce limits the connections that a listener accepts in one turn of the event loop.
	acceptsAtOnce = 64

	// acceptAgainAfter is the delay before accept is retried after a temporary error. The delay ends early if a
	// connection closes, because the closed connection frees a descriptor.
	acceptAgainAfter = 50 * time.Millisecond

	// starvedFor is how long the process may be out of descriptors before waiting clients get 503.
	starvedFor = 5 * time.Second

	warnsEvery = time.Minute
)

// AcceptAction says what happens to the next connection in the queue of a listener.
type AcceptAction uint8

const (
	Wait AcceptAction = iota // the connection stays in the queue until Acceptor.Resume
	Take
	Reject // the connection is accepted and gets a 503 response
)

type Acceptor struct {
	Events *eventloop.Loop
	Log    func(level logfile.Level, format string, args ...any)

	// Room reports whether the server has room for another connection of the listener ln. If Room returns false, the
	// connection stays in the queue until Resume. Room is called on the loop.
	Room func(ln *Listener) bool

	// Accepted passes an accepted connection to the server, which then owns the descriptor fd. If action is Reject,
	// the server must send ServiceUnavailable and close the connection; otherwise action is Take. The server must call
	// Opened at once, and Closed when the connection closes.
	Accepted func(ln *Listener, fd int, local, remote net.Addr, action AcceptAction)

	// The fields from cfg to openFiles may be used only on the loop.
	cfg     AcceptConfig
	open    [Reject + 1]int // numbers of open connections; the index is the action that Opened got
	balance balance
	sockets []*socket
	// time of the first in an unbroken series of failed accepts; zero if the last accept worked
	starved time.Time
	retries bool

	warnings, fullWarnings logfile.Seldom

	// spare descriptor that refuseQueued closes, or -1
	reserve   int
	reserveOf int    // the descriptor that reserve duplicates
	openFiles uint64 // limit of open files when KeepReserve was first called

	stopped atomic.Bool // Stop was called; the mutex mu guards writes only
	short   atomic.Bool // accept fails because the limit of open files is reached
	// the number of a descriptor that aboveStandard has found closed (0, 1 or 2), plus 1; 0 if all three are open
	closed atomic.Int32

	mu        sync.Mutex
	listeners []*Listener
	// error that stopped a listener; nil if all listeners work
	failed error
}

// A socket is a listening socket. The event loop reports waiting connections only once, so the field pending records
// whether the queue may contain connections.
type socket struct {
	a  *Acceptor
	ln *Listener
	fd int
	// local address of the accepted connections; nil if each connection can have a different one
	local   net.Addr
	watch   eventloop.Watch
	pending bool
}

// Accept takes ownership of ln and starts to accept its connections. After Stop, Accept only closes ln. Accept is safe
// for concurrent use.
func (a *Acceptor) Accept(ln *Listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.listeners, ln) {
		return
	}
	if a.stopped.Load() || !a.Events.Post(func() { a.listen(ln) }) {
		a.close(ln)
		return
	}
	a.listeners = append(a.listeners, ln)
}

// Unlisten stops accepting on ln and closes ln. Unlisten must be called on the loop.
func (a *Acceptor) Unlisten(ln *Listener) {
	a.mu.Lock()
	a.listeners = slices.DeleteFunc(a.listeners, func(other *Listener) bool { return other == ln })
	a.mu.Unlock()
	a.unlisten(ln)
}

// Stop stops accepting at once, and makes the loop close the listeners. If last is true, no other process accepts on
// the listeners. In that case the loop first accepts the connections in the queues, because closing the listeners would
// reset these connections. Stop is safe for concurrent use.
func (a *Acceptor) Stop(last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped.Swap(true) {
		return
	}
	for _, ln := range a.listeners {
		a.Events.Post(func() {
			if last {
				a.empty(ln)
			}
			a.unlisten(ln)
		})
	}
}

func (a *Acceptor) empty(ln *Listener) {
	i := slices.IndexFunc(a.sockets, func(s *socket) bool { return s.ln == ln })
	for i >= 0 && a.sockets[i].take(Take) {
	}
}

// Intact returns a one-line error if a listener can no longer accept connections. Intact is safe for concurrent use.
func (a *Acceptor) Intact() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped.Load() {
		return nil
	}
	if a.failed != nil {
		return fmt.Errorf("the application closed a descriptor that accepting connections requires: %w", a.failed)
	}
	for _, ln := range a.listeners {
		if err := ln.Intact(); err != nil {
			return err
		}
	}
	if err := a.standardIntact(); err != nil {
		return err
	}
	return a.openFilesIntact()
}

// Resume, called on the loop, accepts waiting connections if the server now has room.
func (a *Acceptor) Resume() {
	for _, s := range a.sockets {
		if s.pending {
			s.watch.Again()
		}
	}
}

func (a *Acceptor) close(ln *Listener) {
	if err := ln.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		a.Log(logfile.Warning, "closing %s: %v", ln.Addr(), err)
	}
}

func (a *Acceptor) listen(ln *Listener) {
	s := &socket{a: a, ln: ln, fd: ln.Fd()}
	if at, ok := ln.Addr().(*net.TCPAddr); !ok || !at.IP.IsUnspecified() {
		s.local = ln.Addr()
	}
	a.sockets = append(a.sockets, s)
	if err := a.Events.Add(&s.watch, s.fd, s); err != nil {
		a.fail(err)
	}
}

func (a *Acceptor) unlisten(ln *Listener) {
	if i := slices.IndexFunc(a.sockets, func(s *socket) bool { return s.ln == ln }); i >= 0 {
		a.sockets[i].watch.Remove()
		a.sockets[i].pending = false
		a.sockets = slices.Delete(a.sockets, i, i+1)
	}
	a.close(ln)
}

func (s *socket) Ready(eventloop.Readiness) {
	s.pending = true
	s.accept()
}

func (s *socket) accept() {
	a := s.a
	for range acceptsAtOnce {
		if a.stopped.Load() || !a.Room(s.ln) {
			return
		}
		action := a.admit()
		if action != Take {
			a.warnFull(s.ln)
		}
		if action == Wait || !s.take(action) {
			return
		}
	}
	s.watch.Again()
}

// take accepts one connection and reports whether the queue may contain more connections.
func (s *socket) take(action AcceptAction) (rest bool) {
	a := s.a
	fd, remote, err := s.ln.next(s.fd)
	if err == nil && fd <= 2 {
		fd, err = a.aboveStandard(fd)
	}
	switch err {
	case nil:
		a.starved = time.Time{}
		a.short.Store(false)
		a.Accepted(s.ln, fd, s.localOf(fd), addrOf(remote), action)
	case unix.EINTR, unix.ECONNABORTED:
	case unix.EAGAIN:
		s.pending = false
		a.balance.queueEmpty()
		return false
	case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP:
		s.watch.Remove()
		s.pending = false
		a.fail(err)
		return false
	default:
		s.failed(err)
		return false
	}
	return true
}

func (s *socket) localOf(fd int) net.Addr {
	if s.local != nil {
		return s.local
	}
	local, err := syscall.Getsockname(fd)
	if err != nil {
		return s.ln.Addr()
	}
	return addrOf(local)
}

func (a *Acceptor) fail(err error) {
	a.Log(logfile.Error, "stopped accepting connections: %v", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = err
}

func (s *socket) failed(err error) {
	a := s.a
	a.short.Store(err == unix.EMFILE)
	if a.warnings.Once(warnsEvery) {
		a.Log(logfile.Warning, "cannot accept connections for now: %v%s", err, hint(err))
	}
	if a.starved.IsZero() {
		a.starved = time.Now()
	} else if (err == unix.EMFILE || err == unix.ENFILE) && time.Since(a.starved) > starvedFor {
		a.refuseQueued(s.fd)
	}
	if a.retries {
		return
	}
	a.retries = true
	time.AfterFunc(acceptAgainAfter, func() {
		a.Events.Post(func() {
			a.retries = false
			a.Resume()
		})
	})
}
