package http1

import (
	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

// Admit implements http.Carrier.
func (c *Conn) Admit(x *http.Exchange, a http.Answerer) {
	s, r, req := c.s, x.Req, x.Req.Parsed
	size := int64(0)
	if hasBody(req) {
		if req.Body == http1.Chunked || req.Length > int64(len(s.rest)) {
			if a.Streams {
				c.streamBody(x, a)
			} else {
				c.collectBody(x, a)
			}
			return
		}
		if size = req.Length; http.TooLarge(size, x.MaxBody) {
			x.Refuse(http.BodyTooBig)
			return
		}
		r.Body = s.rest[:size]
	}
	r.Size = size
	s.rest = s.rest[size:]
	x.Submit(a)
}

// Submitting implements http.Carrier. Behind a request for a WebSocket, later input waits for the answer: it may be frames.
func (c *Conn) Submitting(x *http.Exchange, a http.Answerer) {
	r := x.Req
	x.Detached = r.Socket != 0
	switch {
	case r.WebSocket:
		c.setState(StateWaiting)
	case c.body == nil && !x.KeepAlive:
		c.setState(StateEnding)
	}
	if a.Bulky {
		x.Bulky = true
		c.bulky++
	} else if c.active > 1 {
		r.Pipeline = c.Fd()
	}
}

// SkipBody implements http.Carrier. A body that is not here yet ends the connection.
func (c *Conn) SkipBody(x *http.Exchange) {
	s, req := c.s, x.Req.Parsed
	switch {
	case !hasBody(req):
	case req.Body == http1.Sized && req.Length <= int64(len(s.rest)):
		s.rest = s.rest[req.Length:]
		x.Received += req.Length
	default:
		x.KeepAlive, c.Linger = false, true
		c.setState(StateEnding)
	}
}

// Suspended implements http.Carrier: x is the last exchange of c.
func (c *Conn) Suspended(*http.Exchange) {
	c.undecided = true
	c.setState(StateWaiting)
}

// Wake implements http.Carrier.
func (c *Conn) Wake(*http.Exchange) { c.queue() }

// BesideDone implements http.Carrier.
func (c *Conn) BesideDone(_ *http.Exchange, decided bool) {
	if decided {
		c.undecided = false
	}
	c.Stamp = c.s.Now()
}

// waits reports whether the input behind the active exchanges of c has to wait.
func (c *Conn) waits() bool {
	if !c.undecided {
		return c.Busy()
	}
	return c.last.Waits()
}

// StopInput implements http.Carrier.
func (c *Conn) StopInput(*http.Exchange) { c.pauseReading() }

// Credited implements http.Carrier.
func (c *Conn) Credited(x *http.Exchange, _ int64, more bool) {
	if c.body != nil && c.body.X == x {
		if c.body.Waits() && !c.spill() {
			return
		}
		c.askForBody()
	}
	if c.Stopped() && !x.Detached && more {
		c.resumeReading()
	}
}

// pauseReading stops reading from c until resumeReading, whatever is pending. The time until then
// is not the client's.
func (c *Conn) pauseReading() {
	if c.Stop(conn.HeedReset) && c.body != nil {
		c.body.Pause(c.s.Now())
	}
}

// resumeReading ends what pauseReading began, or the pause of a connection of which nothing is
// wanted.
func (c *Conn) resumeReading() {
	if c.Stopped() && c.body != nil {
		c.body.Resume(c.s.Now())
	}
	c.Continue()
	if c.reading() && len(c.Pending()) > 0 {
		c.queue()
	}
}
