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
	// acceptsAtOnce is how many connections a listener accepts in one turn of the loop.
	acceptsAtOnce = 64

	// acceptAgainAfter is the delay before accept is retried after a temporary error. A connection that closes ends the
	// delay early.
	acceptAgainAfter = 50 * time.Millisecond

	// starvedFor is how long descriptors may be missing before waiting clients are refused. Most shortages are shorter.
	starvedFor = 5 * time.Second

	// warnsEvery is the minimum interval between two warnings about a limit.
	warnsEvery = time.Minute
)

// Verdict says what happens to the next connection in the queue of a listener.
type Verdict uint8

const (
	Wait Verdict = iota // it stays in the queue until Acceptor.Resume
	Take
	Reject // it is accepted and answered with 503
)

// An Acceptor accepts connections from listeners. The exported fields of an Acceptor must be set before its first use.
type Acceptor struct {
	Events *eventloop.Loop
	Log    func(level logfile.Level, format string, args ...any)

	// Room reports whether the server can take a connection of ln now. If not, the connection waits until Resume. Room
	// is called on the loop.
	Room func(ln *Listener) bool

	// Accepted passes a connection of ln to the server, which owns fd from now on. v is Take, or Reject if the server
	// must send ServiceUnavailable and close. The server calls Opened and, at the end, Closed. Accepted is called on
	// the loop.
	Accepted func(ln *Listener, fd int, local, remote net.Addr, v Verdict)

	// The fields up to openFiles belong to the loop.
	cfg     AcceptConfig
	open    [Reject + 1]int // number of open connections by their verdict (Opened)
	balance balance
	sockets []*socket
	starved time.Time // start of the current failure of accept; zero if accept works
	retries bool

	// limit the warnings about failures and about AcceptConfig.MaxClients
	warnings, fullWarnings logfile.Seldom

	reserve   int    // descriptor for refuseQueued; -1 if it could not be made
	reserveOf int    // the descriptor that reserve duplicates
	openFiles uint64 // limit when KeepReserve was first called

	stopped atomic.Bool // Stop was called. The mutex mu guards only writing.
	short   atomic.Bool // accept fails because the limit of open files is reached
	// number of the standard descriptor that aboveStandard found closed, plus 1; 0 if none was closed
	closed atomic.Int32

	mu        sync.Mutex
	listeners []*Listener
	// error after which a listener stopped accepting; nil if all accept
	failed error
}

// socket is edge-triggered and therefore remembers that its queue may not be empty.
type socket struct {
	a  *Acceptor
	ln *Listener
	fd int
	// address of the accepted connections; nil if it differs for each of them
	local   net.Addr
	watch   eventloop.Watch
	pending bool
}

// Accept starts to accept on ln, which the acceptor owns from now on. After Stop, Accept only closes ln. Accept is safe
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

// Unlisten must be called on the loop.
func (a *Acceptor) Unlisten(ln *Listener) {
	a.mu.Lock()
	a.listeners = slices.DeleteFunc(a.listeners, func(other *Listener) bool { return other == ln })
	a.mu.Unlock()
	a.unlisten(ln)
}

// Stop stops accepting at once and closes the listeners on the loop. If last is true, no other process accepts: the
// connections in the queues are accepted first, because closing would reset them. Stop is safe for concurrent use.
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

// Intact returns an error of one line if a listener can no longer accept connections. Intact is safe for concurrent
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

// Resume accepts waiting connections if the server now has room. Resume must be called on the loop.
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

// accept accepts waiting connections until the server has no room. The remaining connections keep their order in the
// queue.
func (s *socket) accept() {
	a := s.a
	for range acceptsAtOnce {
		if a.stopped.Load() || !a.Room(s.ln) {
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

// take reports whether there may be another connection.
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
		a.Accepted(s.ln, fd, s.localOf(fd), addrOf(remote), v)
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
