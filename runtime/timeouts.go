package runtime

import (
	"time"

	"fapws/runtime/wheel"

	"fapws/runtime/exchange"
	"golang.org/x/sys/unix"
)

const (
	// tickLength is how often the loop looks at deadlines, in nanoseconds.
	tickLength = wheel.Tick

	// halfTimeout is how long a client that has shut down its side is waited
	// for: long enough for most handlers, short enough that one which gave up
	// does not keep its request in the queue.
	halfTimeout = 2 * time.Second

	// lingerTimeout is how long a client that was told to stop may send
	// nothing before the connection closes, maxLinger how long it may go on.
	lingerTimeout = 2 * time.Second
	maxLinger     = 10 * time.Second

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
		for l.live.Load() > 0 || l.orphans.Load() > 0 {
			select {
			case <-ticker.C:
			case <-l.emptied:
				if !l.rest(quietAfter) {
					return
				}
				continue
			case <-l.ended:
				return
			}
			if l.live.Load() == 0 && l.orphans.Load() == 0 {
				break
			}
			if l.ticking.CompareAndSwap(false, true) { // one is enough while the loop is held up
				l.post(l.ticked)
			}
			l.stalled()
		}
		if s.cfg.OnIdle != nil {
			s.cfg.OnIdle()
		}
	}
}

// rest waits; false: the loop has ended. Not on the loop.
func (l *loop) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.ended:
		return false
	}
}

// now returns the loop's time: nanoseconds since start, at most tickLength late.
func (l *loop) now() int64 { return l.time }

// clock sets the loop's time.
func (l *loop) clock(t time.Time) {
	l.time = int64(t.Sub(l.start))
	l.unix = t.Unix()
	l.heads.template.SetTime(l.unix)
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
	if l.limited {
		l.findOverdue(before)
	}
	if len(l.pages.waited) > 0 {
		l.releaseWaiters()
	}
	l.subscribers.Tick()
	l.groups.fanout.Expire(l.groups.now())
	for {
		c := l.wheel.Next(l.now())
		if c == nil {
			return
		}
		switch {
		case l.deadline(c) > l.now():
			l.schedule(c)
		case l.roomExpired(c):
			if c.state != stateClosed || c.transfer != nil {
				l.schedule(c)
			}
		case c.unread():
			l.wheel.Add(&c.timer, c, l.now()+tickLength)
		default:
			l.expired(c)
		}
	}
}

// restamp corrects the stamps since the last tick, which were made by its time: where this tick is late, they are older
// than the tick that deadlines allow for.
func (l *loop) restamp(last int64) {
	for _, c := range l.wheel.All() {
		if c.stamp >= last {
			c.stamp = max(c.stamp, l.now()-tickLength)
		}
	}
}

// heldUp forgives what a handler that runs inline has kept the loop from
// seeing: stamps since then are as old as the tick before it.
func (l *loop) heldUp(since int64) {
	for _, c := range l.wheel.All() {
		if c.stamp >= since {
			c.stamp = l.now()
		}
	}
	l.excludeBlockedTime(l.now() - since)
	l.subscribers.ExcludeBlockedTime()
}

// unread says whether something has arrived that the loop has not come to,
// because a handler that runs inline has kept it: then it is not the client
// who is late.
func (c *httpConn) unread() bool {
	if !c.reading() || c.half || c.paused || c.state == stateSocket && c.ws.ends() {
		return false
	}
	var b [1]byte
	n, _, err := unix.Recvfrom(c.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}

// setState is where the state of a connection changes.
func (l *loop) setState(c *httpConn, s connState) {
	if l.debug >= 2 && c.state != s {
		l.tracef("%s: %s, was %s", c, s, c.state)
	}
	c.state = s
	switch s {
	case stateReady, stateHead, stateBody, stateSocket, stateTunnel, stateLinger:
		l.schedule(c) // these may end sooner than where c is in the wheel
	case stateClosed:
		l.wheel.Remove(&c.timer)
	}
}

// schedule puts c where its deadline is.
func (l *loop) schedule(c *httpConn) {
	l.wheel.Remove(&c.timer)
	l.wheel.Add(&c.timer, c, l.deadline(c))
}

// deadline returns when c has to be looked at.
func (l *loop) deadline(c *httpConn) int64 {
	switch t := c.transfer; {
	case t == nil:
		return l.readDeadline(c)
	case c.state == stateClosed:
		return l.due(t)
	default:
		return min(l.due(t), l.readDeadline(c))
	}
}

// readDeadline is deadline without the limits on writing.
func (l *loop) readDeadline(c *httpConn) int64 {
	switch {
	case c.state == stateLinger:
		return min(c.stamp+int64(lingerTimeout), c.lingerEnd)
	case c.state == stateSocket && !c.half:
		return l.socketDeadline(c)
	case c.state == stateTunnel:
		return l.tunnelDeadline(c)
	case c.half && c.transfer == nil:
		return c.stamp + int64(halfTimeout)
	case c.half:
		return l.now() + int64(halfTimeout) // a transfer
	case c.state == stateNew || c.state == stateHead:
		limit := int64(l.cfg.HeadTimeout)
		if l.leaving && c.state == stateNew {
			limit = min(limit, l.keepAlive)
		}
		return c.stamp + tickLength + limit // a stamp is up to a tick old
	case c.state == stateBody:
		return l.bodyDeadline(c)
	case c.busy():
		return l.now() + l.keepAlive // no timeout; a transfer has its own
	}
	return c.stamp + tickLength + l.keepAlive
}

// expired is called when the deadline of c has passed.
func (l *loop) expired(c *httpConn) {
	switch c.state {
	case stateHead:
		l.timedOut(c, "the request took too long")
	case stateBody:
		l.bodyLate(c)
	case stateSocket:
		l.socketExpired(c)
	case stateTunnel:
		l.tunnelExpired(c)
	case stateReady:
		l.close(c, "idle")
	default:
		l.close(c, "time is up")
	}
}

// bodyLate refuses a request whose body comes too slowly.
func (l *loop) bodyLate(c *httpConn) {
	const text = "the request body took too long"
	switch r := (exchange.Reply{Status: 408, Text: text, Close: true}); {
	case c.skipping():
		l.endSkip(c)
	case c.body.streamed:
		l.breakOff(c, r)
	default:
		l.dropInput(c)
		l.refuseBody(c, r)
		if c.state != stateClosed {
			l.schedule(c)
		}
	}
}

// timedOut answers a request that did not become whole (RFC 9110 §15.5.9).
func (l *loop) timedOut(c *httpConn, text string) {
	l.setState(c, stateReady)
	l.dropInput(c)
	l.newErrorExchange(c, nil).Reply(exchange.Reply{Status: 408, Text: text, Close: true})
	if c.state != stateClosed {
		l.schedule(c)
	}
}
