package runtime

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// How long an acceptor waits after an error that only time can heal.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 100 * time.Millisecond
)

// accept brings connections from a listener to the loop until the listener is
// closed. At the limit it stops asking, and the kernel queues the rest.
//
// It accepts here and not in gnet because gnet's listener ends the whole
// engine when accept meets EMFILE.
func (s *Server) accept(ln net.Listener) {
	var wait time.Duration
	for {
		select {
		case s.slots <- struct{}{}:
		case <-s.stop:
			return
		}
		nc, err := ln.Accept()
		if err == nil {
			err = s.enrol(nc)
		}
		if err == nil {
			wait = 0
			continue
		}
		<-s.slots
		if errors.Is(err, net.ErrClosed) || !s.heals(err) {
			return
		}
		if wait == 0 { // once per bout
			s.logf(LevelWarning, "cannot accept connections for now: %v", cause(err))
		}
		wait = min(max(2*wait, minBackoff), maxBackoff)
		select {
		case <-time.After(wait):
		case <-s.stop:
			return
		}
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

// enrol makes the loop own nc.
func (s *Server) enrol(nc net.Conn) error {
	c := newConn(nc)
	if _, err := s.client.EnrollContext(nc, c); err != nil {
		return err
	}
	if !c.opened { // gnet does not report that epoll refused the descriptor
		return unix.ENOMEM
	}
	return nil
}
