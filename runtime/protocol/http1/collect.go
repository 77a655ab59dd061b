package http1

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

// collectBody starts to collect the body of x, for a.
func (c *Conn) collectBody(x *http.Exchange, a http.Answerer) {
	s, req := c.s, x.Req.Parsed
	if http.TooLarge(req.Length, x.MaxBody) {
		x.Refuse(http.BodyTooBig)
		return
	}
	b := new(Body)
	b.Begin(req, x.MaxBody, s.Now())
	b.Collect(x, a)
	c.body = b
	if req.Expect100 && len(s.rest) == 0 {
		c.Use()
		s.Set.Buf = append(s.Set.Buf, http1.Continue...)
	}
	c.Stamp = s.Now()
	c.setState(StateBody)
	s.rest = c.collect(s.rest)
}

// collect takes what belongs to the body from the front of data and returns
// the rest. When the body is whole, or refused, c has another state.
func (c *Conn) collect(data []byte) (rest []byte) {
	s := c.s
	b := c.body
	c.Stamp = s.Now()
	piece, rest, whole, err := b.Decode(data)
	if err == nil {
		err = b.Store(piece, s.Config.SpoolSize)
	}
	if err != nil {
		c.refuseBody(s.Refused(err))
		return nil
	}
	switch {
	case whole:
		c.body = nil
		c.setState(StateReady)
		b.Submit()
	case b.Waits():
		c.pauseReading()
	}
	return rest
}

// spill has the body of c, which has waited for a file, go on if it gets one. It reports whether it does.
func (c *Conn) spill() bool {
	err := c.body.Spill()
	if err != nil {
		c.resumeReading()
		c.refuseBody(c.s.Refused(err))
		return false
	}
	return !c.body.Waits()
}

// refuseBody answers a request whose body is being collected.
func (c *Conn) refuseBody(r exchange.Reply) {
	b := c.body
	c.body = nil
	b.Drop()
	c.setState(StateReady)
	b.X.Sink.Reply(r)
}

// bodyDeadline returns when to look at a body again; a time that has passed
// means that it comes too slowly.
func (c *Conn) bodyDeadline() int64 {
	s := c.s
	if c.Stopped() && c.body.Waits() {
		return c.body.WaitsUntil(s.Config.BodyTimeout)
	}
	if c.Stopped() || c.body.Expects { // the delay is not the client's
		return s.Now() + int64(bodyLook)
	}
	if c.body.TooSlow(s.Now(), s.Config.BodyTimeout, s.Config.BodyRate) {
		return s.Now()
	}
	return min(c.Stamp+int64(s.Config.BodyTimeout), s.Now()+int64(bodyLook))
}
