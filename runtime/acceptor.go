package runtime

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/descriptors"
)

// How long an acceptor waits after an error that only time can heal.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 100 * time.Millisecond
)

// acceptors are the goroutines that accept, one for each listener.
type acceptors struct {
	mu        sync.Mutex
	listeners []openListener
	stopped   bool
	failed    error         // why a listener accepts no more, although it should
	end       chan struct{} // closed with stopped
	running   sync.WaitGroup
}

// Accept starts to accept connections on ln, which the server owns from now
// on. Not before Serve; after Shutdown or Retire it only closes ln.
func (s *Server) Accept(ln net.Listener) {
	a := &s.acceptors
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		s.closeListener(ln)
		return
	}
	_, inode := listenerFile(ln)
	a.listeners = append(a.listeners, openListener{ln, inode})
	spare, door := newSpare(s.loop.wake.theirs.Signals), newSpare(s.loop.wake.theirs.Signals)
	a.running.Go(func() { s.accept(ln, spare, door) })
}

// Forgo ends what Accept has begun: ln is closed here. The socket lives on
// where another process has it.
func (s *Server) Forgo(ln net.Listener) {
	a := &s.acceptors
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.IndexFunc(a.listeners, func(l openListener) bool { return l.Listener == ln }); i >= 0 {
		a.listeners = slices.Delete(a.listeners, i, i+1)
		s.closeListener(ln)
	}
}

// StopAccepting closes the listeners, which Shutdown and Retire begin with. A
// connection that is on its way to the loop gets there: see OnOpen.
func (s *Server) StopAccepting() {
	a := &s.acceptors
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return
	}
	a.stopped = true
	close(a.end)
	for _, ln := range a.listeners {
		s.closeListener(ln)
	}
}

func (s *Server) closeListener(ln net.Listener) {
	if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.logf(LevelWarning, "closing %s: %v", ln.Addr(), err)
	}
}

// accept brings connections from a listener to the loop until the listener is
// closed. At the limit it stops asking, and the kernel queues the rest, the first
// come first; or, with Config.Refuse, the rest gets 503. While there are no
// descriptors it asks now and then; if that lasts, the queue gets 503 by the one
// that door has kept.
//
// It accepts here and not in gnet because gnet's listener ends the whole
// engine when accept meets EMFILE.
func (s *Server) accept(ln net.Listener, spare, door *spare) {
	var wait time.Duration
	var since time.Time // when descriptors began to lack
	defer spare.lend()
	defer door.lend()
	for {
		if !s.cfg.Refuse && !s.waitForSlot() {
			return
		}
		var nc net.Conn
		err := door.hold() // before all: other threads may have taken what it lent
		if err == nil {
			err = spare.hold()
		}
		if err == nil {
			nc, err = ln.Accept()
		}
		if s.cfg.Refuse {
			select {
			case s.slots <- struct{}{}:
			default:
				if err == nil {
					spare.lend()
					s.beyond(nc)
					continue
				}
				if !s.waitForSlot() { // that others leave is what it needs, too
					return
				}
			}
		}
		if err == nil {
			s.lending.Add(1)
			spare.lend()
			err = s.enrol(nc, s.newConn(nc))
			s.lending.Add(-1)
		}
		if err == nil {
			wait = 0
			continue
		}
		<-s.slots
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if !s.heals(err) {
			s.acceptors.mu.Lock()
			s.acceptors.failed = cause(err)
			s.acceptors.mu.Unlock()
			return
		}
		switch {
		case wait == 0: // once per bout
			s.logf(LevelWarning, "cannot accept connections for now: %v", cause(err))
			since = time.Now()
		case starved(err) && time.Since(since) > starvedFor:
			turnSomeAway(ln, spare, door)
		}
		wait = min(max(2*wait, minBackoff), maxBackoff)
		select {
		case <-time.After(wait):
		case <-s.acceptors.end:
			return
		}
	}
}

// waitForSlot takes a slot, and returns false if there is no need to any more.
func (s *Server) waitForSlot() bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.acceptors.end:
		return false
	}
}

// spare is a descriptor that an acceptor holds while it waits, and gives up
// for gnet, which duplicates that of each new connection: so a connection that
// was accepted is not lost for want of a second one.
type spare struct {
	of   int // any descriptor; a duplicate is the cheapest to have
	fd   int
	held bool
}

// newSpare holds one if there is one.
func newSpare(of int) *spare {
	s := &spare{of: of}
	_ = s.hold() // tried again before each accept
	return s
}

func (s *spare) hold() (err error) {
	if s.held {
		return nil
	}
	s.fd, err = unix.FcntlInt(uintptr(s.of), unix.F_DUPFD_CLOEXEC, 0)
	s.held = err == nil
	if s.held {
		descriptors.Hold(s.fd)
	}
	return err
}

func (s *spare) lend() {
	if s.held {
		descriptors.Release(s.fd)
		unix.Close(s.fd)
		s.held = false
	}
}

// heals says whether the next accept may succeed after err, and logs if not.
func (s *Server) heals(err error) bool {
	for _, fatal := range [...]error{unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP} {
		if errors.Is(err, fatal) {
			s.logf(LevelError, "accepting connections has ended: %v", err)
			return false
		}
	}
	return true
}

// enrol makes the loop own the connection of c, which is nc.
func (s *Server) enrol(nc net.Conn, c *conn) error {
	if _, err := s.client.EnrollContext(nc, c); err != nil {
		return err
	}
	if !c.opened { // gnet does not report that epoll refused the descriptor
		return unix.ENOMEM
	}
	return nil
}
