package http2

import (
	"fapws/runtime/exchange"
)

// minUpdate is how many bytes are worth an update of the window of a connection.
const minUpdate = 4 << 10

// inflow counts the data of all streams of a connection together: the data that the client may still send (RFC 9113 §5.2), and the data in memory.
type inflow struct {
	window int64  // bytes that the client may send
	held   int64  // bytes of input that streams have in memory
	opened int64  // both, when the window was opened last
	client string // whose connection it is
	moved  bool   // one of these has changed since openWindow
	shared int64  // what it has of Server.memory: both, above initialWindow
	closed bool   // the window was found closed
	since  int64  // at this time
}

// holds notes that n bytes of the input of st are in memory now. With fewer than before, the window of the connection may open.
func (st *stream) holds(n int64) {
	c := st.c
	less := n < st.held
	c.inflow.held += n - st.held
	c.inflow.moved = true
	if st.held = n; less && c.room() > 0 {
		c.conn.Again()
	}
}

// holdsGiven is holds for what the handler of x has been given. One that has taken everything need not have given back as much as an eighth of its
// window.
func (st *stream) holdsGiven(x *exchange.Exchange) {
	n := x.Given()
	if n < exchange.InputWindow/8 {
		n = 0
	}
	st.holds(n)
}

// mayHold reports whether n more bytes of bodies that are collected may stay in memory. They get an eighth of the window, if that can be opened:
// bodies that are not whole must not keep each other from becoming whole.
func (c *Conn) mayHold(n int) bool {
	in := &c.inflow
	return in.held+int64(n) <= int64(c.s.cfg.ConnectionWindow)/8 && (in.window > 0 || c.room() > 0)
}

// blocks reports whether clients are kept from sending for no longer than they might take themselves. After that, requests that wait for input
// end: those that occupy the window may be waiting for them.
func (in *inflow) blocks(now, timeout int64) bool {
	return in.closed && now-in.since <= timeout+tick
}

// room returns by how much the window of the connection should grow: 0 if that is not worth a frame. It grows as it is used, up to what its streams
// may send. Above initialWindow, that is shared with the other connections of the client.
func (c *Conn) room() int64 {
	in := &c.inflow
	if in.window > in.opened/2 {
		return 0
	}
	most := int64(initialWindow) // for new streams
	for _, st := range c.streams {
		if !st.ended {
			most += st.target
		}
	}
	most = min(most, 2*in.opened, int64(c.s.cfg.ConnectionWindow), initialWindow+in.shared+c.s.memory.Room(in.client))
	grow := max(most, initialWindow) - in.held - in.window
	if grow < minUpdate {
		return 0
	}
	return grow
}

// share counts what c has of Server.memory.
func (c *Conn) share() {
	in := &c.inflow
	shared := max(0, in.held+in.window-initialWindow)
	if c.closed {
		shared = 0
	}
	if shared != in.shared {
		c.s.memory.Add(in.client, shared-in.shared)
		in.shared = shared
	}
}

// openWindow lets the client send more on all streams together, if that is worth a frame. The time in which it could not does not count for bodies.
func (c *Conn) openWindow() {
	c.share()
	in, grow := &c.inflow, c.room()
	in.moved = false
	switch {
	case c.dead || grow == 0 && in.window > 0:
		return
	case grow == 0:
		if !in.closed {
			in.closed, in.since = true, c.s.Set.Now
		}
		return
	}
	in.window += grow
	in.opened = in.held + in.window
	c.share()
	c.frames().WriteWindowUpdate(0, uint32(grow))
	if !in.closed {
		return
	}
	for _, st := range c.streams {
		if st.arriving && !st.body.Paused {
			st.body.Pause(in.since)
			st.resume()
		}
	}
	in.closed = false
}

// The costs of frames that bring nothing on, in points of a budget.
const (
	costReset    = 10 // a stream is given up by its client or reset because of it, or its request is malformed
	costSettings = 10
	costPing     = 5
	costEmpty    = 5 // a frame without content, one for a stream that has ended, and an acknowledgment
	costUpdate   = 1 // of a window, of a priority; a frame that is not known

	budgetFrame = 2 // points for each frame of data that is sent: clients answer it with updates
)

// budget bounds the work that a client makes without bringing its requests on. Its zero value is empty.
type budget struct {
	points  int64
	full    int64
	since   int64 // time up to which time has filled it
	updates int64 // of windows that cost nothing: clients may answer much data at once, and late
}

// begin makes b a full budget at the time now, for so many resets. Time fills it by 3 % a second.
func (b *budget) begin(resets int, now int64) {
	b.full = int64(resets) * costReset
	b.points, b.since = b.full, now
}

// sent notes that a frame of data was sent.
func (b *budget) sent() {
	b.points = min(b.full, b.points+budgetFrame)
	b.updates += budgetFrame
}

// updated is spend for an update of a window.
func (b *budget) updated(now int64) bool {
	if b.updates > 0 {
		b.updates--
		return true
	}
	return b.spend(costUpdate, now)
}

// spend takes points at the time now, in nanoseconds, and reports whether there were as many.
func (b *budget) spend(points, now int64) bool {
	b.points -= points
	if b.points >= 0 {
		return true
	}
	if earned := (now - b.since) / 1e6 * b.full * 3 / 100_000; earned > 0 {
		b.points = min(b.full, b.points+earned)
		b.since = now
	}
	return b.points >= 0
}
