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
	// acceptsAtOnce is how many connections are accepted before others have their turn.
	acceptsAtOnce = 64

	// acceptAgainAfter is how long the loop waits after an error of accept that only time can heal, unless a
	// connection closes before.
	acceptAgainAfter = 50 * time.Millisecond

	// starvedFor is how long descriptors may be missing before waiting clients are refused: most shortages are shorter.
	starvedFor = 5 * time.Second

	// warnsEvery is how often the log names a limit that is reached.
	warnsEvery = time.Minute
)

// Verdict says what becomes of the next connection in the queue of a listener.
type Verdict uint8

const (
	Wait   Verdict = iota // it stays there until Acceptor.Resume
	Take                  // it is accepted
	Reject                // it is accepted, to be told that there is no room
)

// AcceptLoop takes connections, on the loop.
type AcceptLoop interface {
	// Room reports whether a connection of ln may be accepted as far as the server is concerned. Otherwise it waits until Acceptor.Resume.
	Room(ln *Listener) bool

	// Accepted gives the server a connection that has come in on ln, whose descriptor it owns from now on. The verdict is Take, or
	// Reject: then the client is to be told ServiceUnavailable. The server calls Opened and, at the end, Closed.
	Accepted(ln *Listener, fd int, local, remote net.Addr, v Verdict)
}

// Acceptor accepts connections from any number of listeners. The exported fields are set before it is used.
type Acceptor struct {
	Events *eventloop.Loop
	Loop   AcceptLoop
	Log    func(level logfile.Level, format string, args ...any)

	// These belong to the loop.
	cfg     AcceptConfig
	open    [Reject + 1]int // connections, by what Opened was told of them: Take, of clients; Reject, that are being told 503
	balance balance
	sockets []*socket
	starved time.Time // when accepting began to fail; zero: it works
	retries bool      // a timer will try again

	warnings, fullWarnings logfile.Seldom // lines about failures, and about AcceptConfig.MaxClients

	reserve   int    // a descriptor for refuseQueued; -1: it is lost
	reserveOf int    // of which it is a duplicate
	openFiles uint64 // limit when KeepReserve was first called

	stopped atomic.Bool  // set with mu held
	short   atomic.Bool  // accepting fails because the limit of open files is reached
	closed  atomic.Int32 // 1 more than the descriptor that aboveStandard has found closed; 0: none

	mu        sync.Mutex
	listeners []*Listener
	failed    error // why a listener accepts no more, although it should
}

// socket is a listener that the loop accepts from. It is edge-triggered like everything else, so it remembers that
// connections were left in its queue.
type socket struct {
	a       *Acceptor
	ln      *Listener
	fd      int
	local   net.Addr // of its connections; nil: each one is asked
	watch   eventloop.Watch
	pending bool // connections may be waiting
}

// Accept starts to accept connections on ln, unless it does so already. The acceptor owns ln from now on. After Stop it only closes ln.
// It is safe for concurrent use.
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

// Unlisten ends accepting on ln, and closes it. It must be called on the loop.
func (a *Acceptor) Unlisten(ln *Listener) {
	a.mu.Lock()
	a.listeners = slices.DeleteFunc(a.listeners, func(other *Listener) bool { return other == ln })
	a.mu.Unlock()
	a.unlisten(ln)
}

// Stop ends accepting at once, and closes the listeners as soon as the loop can. With last, no other process accepts
// on them, and the
// connections in their queues are accepted before: closing would reset them. It is safe for concurrent use.
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

// empty accepts all connections in the queue of ln, also beyond AcceptConfig.MaxClients.
func (a *Acceptor) empty(ln *Listener) {
	i := slices.IndexFunc(a.sockets, func(s *socket) bool { return s.ln == ln })
	for i >= 0 && a.sockets[i].take(Take) {
	}
}

// Intact returns an error, of one line, if no more connections can be accepted, although they should. It is safe for concurrent
// use.
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

// Resume accepts connections that had to wait, if the server has room now. It must be called on the loop.
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

// listen accepts from ln from now on.
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

// unlisten closes ln.
func (a *Acceptor) unlisten(ln *Listener) {
	if i := slices.IndexFunc(a.sockets, func(s *socket) bool { return s.ln == ln }); i >= 0 {
		a.sockets[i].watch.Remove()
		a.sockets[i].pending = false
		a.sockets = slices.Delete(a.sockets, i, i+1)
	}
	a.close(ln)
}

// Ready implements eventloop.Handler: clients have connected, or may be accepted again.
func (s *socket) Ready(eventloop.Readiness) {
	s.pending = true
	s.accept()
}

// accept takes connections from the queue as long as there is room. The rest stays there, the first come first.
func (s *socket) accept() {
	a := s.a
	for range acceptsAtOnce {
		if a.stopped.Load() || !a.Loop.Room(s.ln) {
			return
		}
		v := a.admit()
		if v != Take {
			a.warnFull(s.ln)
		}
		if v == Wait || !s.take(v) {
			return
		}
	}
	s.watch.Again()
}

// take accepts the next connection, and reports whether there may be others.
func (s *socket) take(v Verdict) (more bool) {
	a := s.a
	fd, remote, err := acceptNonblock(s.fd)
	if err == nil && fd <= 2 {
		fd, err = a.aboveStandard(fd)
	}
	switch err {
	case nil:
		a.starved = time.Time{}
		a.short.Store(false)
		a.Loop.Accepted(s.ln, fd, s.localOf(fd), addrOf(remote), v)
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

// localOf returns the address at which a connection has come in.
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

// fail is for errors after which a listener accepts no more.
func (a *Acceptor) fail(err error) {
	a.Log(logfile.Error, "stopped accepting connections: %v", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = err
}

// failed is for errors that only time can heal: descriptors or memory are missing, or the network is.
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
