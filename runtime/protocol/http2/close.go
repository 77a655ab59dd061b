package http2

import (
	"time"

	"golang.org/x/net/http2"

	"fapws/runtime/logfile"
)

// look is how often streams that wait for their client are looked at.
const look = int64(time.Second)

// lingerTimeout is how long a stream stays behind its response if its request has not ended: clients that are told at once to stop sending
// take that for an error, and lose the response. Its window is not opened any more.
const lingerTimeout = 2 * int64(time.Second)

// leavingPing is the content of the PING behind the first GOAWAY: requests that the client has sent before it had that come before its
// answer.
var leavingPing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g'}

// fail ends c because of what its client has done (RFC 9113 §5.4.1).
func (c *Conn) fail(code http2.ErrCode, why string) {
	if c.dead {
		return
	}
	if c.s.Set.Debug >= 1 {
		c.s.tracef("%s: %v: %s", c.conn, code, why)
	}
	out := c.output()
	*out = appendGoAway(*out, c.last, code)
	c.dead, c.arrives = true, nil
	for _, st := range c.streams {
		c.forget(st)
		st.abandon()
	}
	c.conn.Linger = true
	c.settle()
}

// Drain implements conn.Protocol: the client is told that no more requests are taken, in two steps if there is time (RFC 9113 §6.8).
func (c *Conn) Drain(retire bool) {
	switch {
	case c.dead || c.leaving == refuses:
		return
	case !retire:
		c.refuse()
	case c.leaving == stays:
		c.leaving = notified
		out := c.output()
		*out = appendGoAway(*out, maxWindow, http2.ErrCodeNo)
		*out = appendFrameHeader(*out, len(leavingPing), http2.FramePing, 0, 0)
		*out = append(*out, leavingPing[:]...)
		c.conn.Stamp = c.s.Now()
	}
	c.conn.Schedule()
	c.settle()
}

// refuse tells the client which stream is the last one that is answered. An idle connection closes then: one that was idle for too long when
// its client has heard that, because a request may be on its way; at the end of the server, which a client that is asleep must not hold up, at once.
func (c *Conn) refuse() {
	c.leaving = refuses
	out := c.output()
	*out = appendGoAway(*out, c.last, http2.ErrCodeNo)
	c.dead = len(c.streams) == 0
	c.conn.Linger = !c.s.Leaving()
	c.settle()
}

// settle closes c if nothing more is to be sent.
func (c *Conn) settle() {
	if len(c.deferred) > 0 {
		c.resumeDeferred()
	}
	switch {
	case c.closed || c.conn.Writing() || c.conn.Gathers() || len(c.late) > 0:
	case c.dead:
		c.conn.Finish()
	case c.leaving == refuses && len(c.streams) == 0:
		c.dead, c.conn.Linger = true, true
		c.conn.Finish()
	}
}

// Deadline implements conn.Protocol.
func (c *Conn) Deadline() int64 {
	s := c.s
	cfg := &s.Config
	switch {
	case c.dead:
		return s.Now() + look
	case !c.settled:
		return c.conn.Stamp + tick + int64(cfg.HeadTimeout)
	case c.arrives != nil:
		return c.arrives.since + tick + int64(cfg.HeadTimeout)
	}
	at := c.conn.Stamp + tick + int64(cfg.KeepAlive)
	if len(c.streams) > 0 {
		at = s.Now() + max(look, int64(cfg.KeepAlive))
	}
	if c.leaving == notified {
		at = min(at, c.conn.Stamp+tick+look)
	}
	for _, st := range c.streams {
		switch {
		case st.overdue(s.Now()):
			return s.Now()
		case st.bytes == nil: // else it has a deadline of its own
			at = min(at, s.Now()+look)
		}
	}
	return at
}

// overdue reports whether the client of st has kept it waiting for too long.
func (st *stream) overdue(now int64) bool { return st.lingers(now) || st.late(now) || st.stalled(now) }

// Expired implements conn.Protocol.
func (c *Conn) Expired() {
	s := c.s
	if c.conn.Unread() {
		c.conn.Postpone()
		return
	}
	now := s.Now()
	switch {
	case c.dead: // what is left to do has a deadline of its own
	case !c.settled:
		c.fail(http2.ErrCodeSettingsTimeout, "no settings")
	case c.arrives != nil:
		if now >= c.Deadline() {
			c.fail(http2.ErrCodeEnhanceYourCalm, "timed out waiting for the request")
		}
	case len(c.streams) == 0 && now >= c.conn.Stamp+tick+int64(s.Config.KeepAlive):
		c.refuse()
	case c.leaving == notified && now >= c.conn.Stamp+tick+look: // it does not answer
		c.refuse()
	}
	if !c.closed {
		c.expireStreams(now)
	}
	if !c.closed {
		c.openWindow() // other connections of the client may have less
		c.conn.Schedule()
	}
}

// expireStreams ends streams whose clients have kept them waiting for too long.
func (c *Conn) expireStreams(now int64) {
	s := c.s
	for _, st := range c.streams {
		switch {
		case c.dead:
			return
		case st.lingers(now): // RFC 9113 §8.1: the rest of the request is not needed
			c.forget(st)
			c.writeReset(st.id, http2.ErrCodeNo)
		case st.late(now):
			st.refuseBody(st.body.TimedOut())
		case st.stalled(now):
			s.Set.Log(logfile.Info, "%s: stream closed after write timeout of %v", c.conn, s.Set.WriteTimeout)
			c.resetStream(st, http2.ErrCodeCancel)
		}
	}
}

// lingers reports whether the request of st, which was answered, should have ended by now.
func (st *stream) lingers(now int64) bool {
	return st.x == nil && st.bytes == nil && now-st.stamp > lingerTimeout
}

// stalled reports whether the client of st has kept a window closed for too long.
func (st *stream) stalled(now int64) bool {
	c := st.c
	limit := int64(c.s.Set.WriteTimeout) + tick
	switch {
	case !st.writing || st.loading || c.conn.Writing(): // a transfer has a timeout of its own
		return false
	case st.credit <= 0:
		return now-st.stamp > limit
	}
	return c.credit <= 0 && now-max(c.sent, st.stamp) > limit
}
