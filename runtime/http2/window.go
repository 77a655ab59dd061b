package http2

const (
	minUpdate = 4 << 10 // minimum increment of a window, in bytes

	// usualUpdate is the increment from which a window is opened, in bytes, even if more than half of it is open. A large
	// window would otherwise be closed to a client far away for much of the time.
	usualUpdate = 256 << 10

	// windowGrowth is the factor by which a window grows at most in one step.
	windowGrowth = 4
)

// inflow is the receive window of a connection (RFC 9113 §5.2).
type inflow struct {
	window int64
	held   int64  // number of input bytes in memory
	opened int64  // window + held when the window was last opened, or more after tuneWindows
	client string // key of the client in conn.Shares
	moved  bool
	// bytes counted in Server.memory: the part of window + held that exceeds initialWindow
	shared int64
	closed bool  // the window is empty and cannot be opened now
	since  int64 // when closed became true

	measuring bool  // the client has not acknowledged windowPing yet
	tuned     int64 // largest window that tuneWindows has given to a stream; 0 before
}

// blocks reports whether the window of the connection has been closed for less than timeout. Meanwhile, a request
// that waits for input does not time out. Later, it does, because the requests that occupy the window may depend on it.
func (flow *inflow) blocks(now, timeout int64) bool {
	return flow.closed && now-flow.since <= timeout+tick
}

// room returns the number of bytes by which the window of the connection should grow, or 0 if the increment is not
// worth a frame. The window grows with use, up to the sum of the streams' windows. The client's share limits the bytes
// above initialWindow.
func (c *Conn) room() int64 {
	in := &c.inflow
	if in.window > max(in.opened/2, in.opened-usualUpdate) {
		return 0
	}
	most := int64(initialWindow) // room for new streams
	for _, st := range c.streams {
		if !st.ended {
			most += st.target
		}
	}
	most = min(most, windowGrowth*in.opened, int64(c.s.cfg.ConnectionWindow), initialWindow+in.shared+c.s.memory.Free(in.client))
	grow := max(most, initialWindow) - in.held - in.window
	if grow < minUpdate {
		return 0
	}
	return grow
}

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

// openWindow enlarges the window of the connection if the increment is worth a frame. The timeouts of bodies do not run
// while the window is closed.
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
		if st.body.Arriving() && !st.body.Paused {
			st.body.Pause(in.since)
			st.resume()
		}
	}
	in.closed = false
}

// windowPing is the content of the PING that measures how much of each body arrives in a round trip.
var windowPing = [8]byte{'w', 'i', 'n', 'd', 'o', 'w'}

// measure begins to count the bytes of each body that arrive in a round trip. The count ends when the client
// acknowledges the PING (tuneWindows). While the server leaves the connection, no PING may follow the GOAWAY (Drain).
func (c *Conn) measure() {
	if c.inflow.measuring || c.leaving != stays {
		return
	}
	c.inflow.measuring = true
	for _, st := range c.streams {
		st.arrived = 0
	}
	c.frames().WritePing(false, windowPing)
}

// tuneWindows enlarges the window of each stream that the client fills, by half at least, in a round trip, because the
// window then limits the rate of the body. A stream whose handler does not take its input in time keeps its window:
// further bytes would only wait in memory.
func (c *Conn) tuneWindows() {
	c.inflow.measuring = false
	most := c.largestWindow()
	for _, st := range c.streams {
		if st.target > most && (st.bytes != nil || st.body.Submitted()) {
			st.target = most
		}
		if st.arrived < st.target/2 || st.target >= most || !st.takesInput() {
			continue
		}
		st.target = min(windowGrowth*st.target, most)
		c.inflow.opened = max(c.inflow.opened, st.target)
		c.inflow.tuned = max(c.inflow.tuned, st.target)
		if st.bytes != nil {
			st.bytes.openWindow()
		} else if st.body.Arriving() {
			st.openWindow()
		}
	}
	c.openWindow()
}

// catchUp gives st, whose input is being taken, the largest window of the connection's bodies so far: an earlier body has
// shown how far away the client is.
func (st *stream) catchUp() {
	if c := st.c; c.inflow.tuned > st.target {
		st.target = max(st.target, min(c.inflow.tuned, c.largestWindow()))
	}
}

// largestWindow returns the maximum window of a stream, in bytes. The streams of a connection share half of its window,
// so that handlers that do not take their input leave the other half to other requests.
func (c *Conn) largestWindow() int64 {
	bodies := int64(0)
	for _, st := range c.streams {
		if !st.ended {
			bodies++
		}
	}
	share := int64(c.s.cfg.ConnectionWindow) / 2 / max(1, bodies)
	return max(initialWindow, min(int64(c.s.cfg.MaxWindow), share))
}

// Costs of frames that cause work without progress, in points of a budget.
const (
	// a reset of a stream by the client, a reset of a stream that the client caused, or a malformed request
	costReset    = 10
	costSettings = 10
	costPing     = 5
	// an empty frame, a frame for an ended stream, an acknowledgment
	costEmpty  = 5
	costUpdate = 1 // an update of a window or of a priority, or an unknown frame

	// number of streams that a client may reset in a row
	maxResets = 1000

	// points that each sent DATA frame earns, because clients answer DATA frames with window updates
	budgetFrame = 2
)

// A budget limits the work that a client can cause without progress of its requests.
type budget struct {
	points int64
	full   int64
	since  int64 // time of the last refill
	// number of window updates that are still free, because a client may send many delayed updates at once
	updates int64
}

// begin fills the budget at the time now. A full budget permits the given number of resets, and refills by 3 % each
// second.
func (b *budget) begin(resets int, now int64) {
	b.full = int64(resets) * costReset
	b.points, b.since = b.full, now
}

func (b *budget) sent() {
	b.points = min(b.full, b.points+budgetFrame)
	b.updates += budgetFrame
}

// updated takes the cost of a window update from the budget, and reports whether the budget had enough points.
func (b *budget) updated(now int64) bool {
	if b.updates > 0 {
		b.updates--
		return true
	}
	return b.charge(costUpdate, now)
}

// charge takes points from the budget, and reports whether the budget had enough points. now is a time in nanoseconds.
func (b *budget) charge(points, now int64) bool {
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
