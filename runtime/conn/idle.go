package conn

import (
	"cmp"
	"slices"
	"time"
)

// idler is a Protocol whose connection may close for another client.
type idler interface {
	// Idle reports whether the connection of a client waits for a request, or for the rest of a head, and since when.
	Idle() (since int64, idle bool)
}

// idleConn is a connection that was idle when CloseIdlest looked at all of them.
type idleConn struct {
	c     *Conn
	since int64
}

// idleGrace is how long a connection must have been idle before it closes for another client: its next request may be on its way.
const idleGrace = int64(time.Second)

// CloseIdlest closes the connection that has been idle for longest, if there is one, so that another client gets its place. All connections
// are examined once in a tick at most.
func (s *Set) CloseIdlest() {
	if len(s.idle) == 0 && s.Now-s.idleAt >= tick {
		s.findIdle()
	}
	for len(s.idle) > 0 {
		last := len(s.idle) - 1
		c, was := s.idle[last].c, s.idle[last].since
		s.idle[last], s.idle = idleConn{}, s.idle[:last]
		if since, idle := c.idle(); idle && since == was && !c.Unread() {
			c.proto.Drain(false)
			s.Flush() // HTTP/2 says which request was the last one
			c.Close("another client gets its place")
			return
		}
	}
	s.idle = nil
}

// findIdle makes Set.idle, with the connection that has been idle for longest at its end.
func (s *Set) findIdle() {
	s.idleAt = s.Now
	for _, c := range s.All() {
		if since, idle := c.idle(); idle && s.Now-since >= idleGrace {
			s.idle = append(s.idle, idleConn{c, since})
		}
	}
	slices.SortFunc(s.idle, func(a, b idleConn) int { return cmp.Compare(b.since, a.since) })
}

// idle is the Idle of the protocol of c, if it has one.
func (c *Conn) idle() (since int64, idle bool) {
	if p, ok := c.proto.(idler); ok && !c.closed {
		return p.Idle()
	}
	return 0, false
}

// Lingers reports whether c has sent its last response and only waits for its client to close, and since when.
func (c *Conn) Lingers() (since int64, lingers bool) {
	return int64(c.lingerEnd)*tick - maxLinger, c.lingering
}

// Idle reports whether the ClientHello is missing, and since when.
func (h *Handshake) Idle() (since int64, idle bool) { return h.c.Stamp, h.stage == collecting }
