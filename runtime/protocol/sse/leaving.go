package sse

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/loglevel"
)

// leaving is the protocol of a connection that becomes a subscriber as soon as everything before the events was written: then
// the connection ends without its descriptor.
type leaving struct {
	p      *Subscriber
	conn   *conn.Conn
	before conn.Protocol // that the connection spoke before, which accounts for it
	left   bool          // the subscriber has the descriptor
}

// Input implements conn.Protocol: bytes from a subscriber do not count.
func (v *leaving) Input([]byte) { v.leave() }

// EOF implements conn.Protocol.
func (v *leaving) EOF() (stays bool) { return false }

// Flushed implements conn.Protocol.
func (v *leaving) Flushed() { v.leave() }

// Writable implements conn.Protocol.
func (v *leaving) Writable() { v.leave() }

// leave starts the subscriber if everything was written.
func (v *leaving) leave() {
	c, p, s := v.conn, v.p, v.p.s
	switch {
	case c.Writing() || c.Gathers():
		return
	case p.state == gone: // more events have come for it meanwhile than may wait
		c.Reset = true
		c.Close("it reads too slowly")
		return
	case c.Half():
		c.Close("the client has shut down its side")
		return
	}
	if c.Transport() != nil { // nobody else could write to its socket
		s.stream(v)
		return
	}
	c.Unwatch()
	if err := s.attach(p, c.Fd()); err != nil {
		s.host.Log(loglevel.Error, p.String(), "cannot be watched as a subscriber: "+err.Error())
		c.Close("it cannot be watched as a subscriber")
		return
	}
	v.left = true
	c.Detach()
	s.tellJoined(p)
	s.begin(p)
}

// lookAgain is how much later a connection without a deadline is looked at again, in nanoseconds.
const lookAgain = int64(time.Minute)

// Deadline implements conn.Protocol: a transfer has its own.
func (v *leaving) Deadline() int64 { return v.p.s.host.Now() + lookAgain }

// Expired implements conn.Protocol.
func (v *leaving) Expired() { v.conn.Schedule() }

// Drain implements conn.Protocol: the subscriber ends with all others.
func (v *leaving) Drain(bool) {}

// Closed implements conn.Protocol.
func (v *leaving) Closed() {
	if !v.left {
		v.p.s.abandon(v.p)
		v.p.s.account(v.p)
	}
}

// Gone implements conn.Protocol.
func (v *leaving) Gone() {
	if !v.left { // else the subscriber has its place
		v.before.Gone()
	}
}
