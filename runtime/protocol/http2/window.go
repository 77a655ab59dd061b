package http2

import (
	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
	"fapws/runtime/protocol/http"
)

// minUpdate is how many bytes are worth an update of the window of a connection.
const minUpdate = 4 << 10

// inflow counts the data of all streams of a connection together: the data that the client may still send (RFC 9113 §5.2), and the data in memory.
type inflow struct {
	window int64 // bytes that the client may send
	held   int64 // bytes of input that streams have in memory
	closed bool  // the window was found closed
	since  int64 // at this time
}

// holds notes that n bytes of the input of st are in memory now. With fewer than before, the window of the connection may open.
func (st *stream) holds(n int64) {
	c := st.c
	less := n < st.held
	c.inflow.held += n - st.held
	if st.held = n; less && c.room() > 0 {
		c.conn.Again()
	}
}

// holdsGiven is holds for what the handler of x has been given. One that has taken everything need not have given back as much as an eighth of its
// window.
func (st *stream) holdsGiven(x *http.Exchange) {
	n := x.Given()
	if n < exchange.InputWindow/8 {
		n = 0
	}
	st.holds(n)
}

// mayHold reports whether n more bytes of bodies that are collected may stay in memory. They get an eighth of the window: bodies that are not whole
// must not keep each other from becoming whole.
func (c *Conn) mayHold(n int) bool {
	return c.inflow.held+int64(n) <= int64(c.s.cfg.ConnectionWindow)/8
}

// blocks reports whether clients are kept from sending for no longer than they might take themselves. After that, requests that wait for input
// end: those that occupy the window may be waiting for them.
func (in *inflow) blocks(now, timeout int64) bool {
	return in.closed && now-in.since <= timeout+tick
}

// room returns by how much the window of the connection should grow: 0 if that is not worth a frame.
func (c *Conn) room() int64 {
	grow := int64(c.s.cfg.ConnectionWindow) - c.inflow.held - c.inflow.window
	if grow < max(minUpdate, c.inflow.window) {
		return 0
	}
	return grow
}

// openWindow lets the client send more on all streams together, if that is worth a frame. The time in which it could not does not count for bodies.
func (c *Conn) openWindow() {
	in, grow := &c.inflow, c.room()
	switch {
	case c.dead || grow == 0 && in.window > 0:
		return
	case grow == 0:
		if !in.closed {
			in.closed, in.since = true, c.s.Now()
		}
		return
	}
	in.window += grow
	out := c.output()
	*out = appendUint32(*out, http2.FrameWindowUpdate, 0, uint32(grow))
	if !in.closed {
		return
	}
	for _, st := range c.streams {
		if st.arriving && !st.paused {
			st.body.Pause(in.since)
			st.resume()
		}
	}
	in.closed = false
}
