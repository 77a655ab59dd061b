package http1

import (
	"time"

	"fapws/runtime/exchange"
)

const (
	// halfTimeout is how long a client that has shut down its side is waited
	// for: long enough for most handlers, short enough that one which gave up
	// does not keep its request in the queue.
	halfTimeout = 2 * time.Second

	// bodyLook is how often the rate of a body is looked at.
	bodyLook = time.Second
)

// unread reports whether something has arrived that the loop has not come to,
// because a handler that runs inline has kept it: then the client is not late.
func (c *Conn) unread() bool {
	return c.reading() && c.Unread()
}

// setState is where the state of a connection changes.
func (c *Conn) setState(s State) {
	if v := c.s; v.Set.Debug >= 2 && c.state != s {
		v.tracef("%s: %s, was %s", c, s, c.state)
	}
	c.state = s
	switch s {
	case StateReady, StateHead, StateBody:
		c.Schedule() // these may end sooner than where c is in the wheel
	}
}

// Deadline implements conn.Protocol.
func (c *Conn) Deadline() int64 {
	s := c.s
	switch {
	case c.Half() && c.undecided && c.last.Patient:
		return s.Now() + int64(halfTimeout) // the server has it wait
	case c.Half() && !c.Writing():
		return c.Stamp + int64(halfTimeout)
	case c.Half():
		return s.Now() + int64(halfTimeout) // a transfer
	case c.state == StateNew || c.state == StateHead:
		limit := int64(s.Config.HeadTimeout)
		if s.Leaving() && c.state == StateNew {
			limit = min(limit, int64(s.Config.KeepAlive))
		}
		return c.Stamp + tick + limit // a stamp is up to a tick old
	case c.state == StateBody:
		return c.bodyDeadline()
	case c.Busy():
		return s.Now() + int64(s.Config.KeepAlive) // no timeout; a transfer has its own
	}
	return c.Stamp + tick + int64(s.Config.KeepAlive)
}

// Expired implements conn.Protocol.
func (c *Conn) Expired() {
	if c.unread() {
		c.Postpone()
		return
	}
	switch c.state {
	case StateHead:
		c.timedOut("timed out waiting for the request")
	case StateBody:
		c.bodyLate()
	case StateReady:
		c.Close("idle")
	default:
		c.Close("time is up")
	}
}

// bodyLate refuses a request whose body comes too slowly.
func (c *Conn) bodyLate() {
	switch r := c.body.TimedOut(); {
	case c.skipping():
		c.endSkip()
	case c.body.Streamed:
		c.breakOff(r)
	default:
		if c.Stopped() {
			c.resumeReading()
		}
		c.DropInput()
		c.refuseBody(r)
		if c.state != StateClosed {
			c.Schedule()
		}
	}
}

// timedOut answers a request that did not become whole (RFC 9110 §15.5.9).
func (c *Conn) timedOut(text string) {
	c.setState(StateReady)
	c.DropInput()
	c.newErrorExchange(nil).Sink.Reply(exchange.Reply{Status: 408, Text: text, Close: true})
	if c.state != StateClosed {
		c.Schedule()
	}
}
