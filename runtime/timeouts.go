package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/wheel"
)

const (
	// tickLength is how often the loop looks at deadlines, in nanoseconds.
	tickLength = wheel.Tick

	// halfTimeout is how long a client that has shut down its side is waited
	// for: long enough for most handlers, short enough that one which gave up
	// does not keep its request in the queue.
	halfTimeout = 2 * time.Second

	// bodyLook is how often the rate of a body is looked at.
	bodyLook = time.Second

	// quietAfter is how long nobody must have been connected until the server
	// is called quiet: clients that come one by one are no end of work.
	quietAfter = 100 * time.Millisecond
)

// tick makes the loop look at the time, as long as there are connections: an
// idle server does nothing at all.
func (s *Server) tick() {
	l := s.loop
	ticker := time.NewTicker(time.Duration(tickLength))
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-l.idle:
		case <-l.ended:
			return
		}
		ticker.Reset(time.Duration(tickLength))
		for l.live.Load() > 0 || l.owed.Load() > 0 {
			select {
			case <-ticker.C:
			case <-l.emptied:
				if !l.sleep(quietAfter) {
					return
				}
				continue
			case <-l.ended:
				return
			}
			if l.live.Load() == 0 && l.owed.Load() == 0 {
				break
			}
			if l.ticking.CompareAndSwap(false, true) { // one is enough while the loop is held up
				l.post(l.ticked)
			}
			l.app.Stalled()
		}
		if s.cfg.OnIdle != nil {
			s.cfg.OnIdle()
		}
	}
}

// sleep waits; false: the loop has ended. Not on the loop.
func (l *loop) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.ended:
		return false
	}
}

// now returns the loop's time: nanoseconds since it was made, at most tickLength late.
func (l *loop) now() int64 { return l.conns.Now() }

// clock sets the loop's time.
func (l *loop) clock(t time.Time) {
	l.conns.SetTime(t)
	l.heads.SetTime(l.conns.Unix())
}

// ticked looks at the connections whose time may have come.
func (l *loop) ticked() {
	l.ticking.Store(false)
	before := l.now()
	l.clock(time.Now())
	switch late := l.now() - before - tickLength; {
	case late > tickLength:
		l.heldUp(before)
	case late > tickLength/8:
		l.restamp(before)
	}
	l.app.Tick(before)
	l.owed.Store(int64(l.app.Owed()))
	if l.pages != nil {
		l.pages.Tick()
	}
	l.subscribers.Tick()
	l.sockets.Expire()
	l.conns.Tick()
}

// restamp corrects the stamps since the last tick, which were made by its time: where this tick is late, they are older
// than the tick that deadlines allow for.
func (l *loop) restamp(last int64) { l.conns.Restamp(last, l.now()-tickLength) }

// heldUp forgives what a handler that runs inline has kept the loop from
// seeing: stamps since then are as old as the tick before it.
func (l *loop) heldUp(since int64) {
	l.conns.Restamp(since, l.now())
	l.app.ExcludeBlockedTime(l.now() - since)
	l.subscribers.ExcludeBlockedTime()
}

// unread reports whether something has arrived that the loop has not come to,
// because a handler that runs inline has kept it: then it is not the client
// who is late.
func (c *httpConn) unread() bool {
	return c.reading() && c.Unread()
}

// setState is where the state of a connection changes.
func (c *httpConn) setState(s connState) {
	l := c.l
	if l.debug >= 2 && c.state != s {
		l.tracef("%s: %s, was %s", c, s, c.state)
	}
	c.state = s
	switch s {
	case stateReady, stateHead, stateBody:
		c.Schedule() // these may end sooner than where c is in the wheel
	}
}

// Deadline implements conn.Protocol.
func (c *httpConn) Deadline() int64 {
	l := c.l
	switch {
	case c.Half() && !c.Writing():
		return c.Stamp + int64(halfTimeout)
	case c.Half():
		return l.now() + int64(halfTimeout) // a transfer
	case c.state == stateNew || c.state == stateHead:
		limit := int64(l.cfg.HeadTimeout)
		if l.leaving && c.state == stateNew {
			limit = min(limit, l.keepAlive)
		}
		return c.Stamp + tickLength + limit // a stamp is up to a tick old
	case c.state == stateBody:
		return c.bodyDeadline()
	case c.busy():
		return l.now() + l.keepAlive // no timeout; a transfer has its own
	}
	return c.Stamp + tickLength + l.keepAlive
}

// Expired implements conn.Protocol.
func (c *httpConn) Expired() {
	if c.unread() {
		c.Postpone()
		return
	}
	switch c.state {
	case stateHead:
		c.timedOut("the request took too long")
	case stateBody:
		c.bodyLate()
	case stateReady:
		c.Close("idle")
	default:
		c.Close("time is up")
	}
}

// bodyLate refuses a request whose body comes too slowly.
func (c *httpConn) bodyLate() {
	const text = "the request body took too long"
	switch r := (exchange.Reply{Status: 408, Text: text, Close: true}); {
	case c.skipping():
		c.endSkip()
	case c.body.streamed:
		c.breakOff(r)
	default:
		c.DropInput()
		c.refuseBody(r)
		if c.state != stateClosed {
			c.Schedule()
		}
	}
}

// timedOut answers a request that did not become whole (RFC 9110 §15.5.9).
func (c *httpConn) timedOut(text string) {
	c.setState(stateReady)
	c.DropInput()
	c.newErrorExchange(nil).Reply(exchange.Reply{Status: 408, Text: text, Close: true})
	if c.state != stateClosed {
		c.Schedule()
	}
}
