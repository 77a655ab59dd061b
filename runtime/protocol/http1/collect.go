package http1

import (
	"errors"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// body is that of a request which is still arriving. The handler hears of the
// request when it is whole, so that a slow client never holds an application, or,
// where Answerer.Streams, at once: see stream.go.
type body struct {
	Body
	answerer Answerer  // that gets it when it is whole
	x        *Exchange // whose body it is; nil: no handler takes the rest any more, see unwanted
	streamed bool      // it is delivered to x as it arrives; else it is collected
	expects  bool      // the client waits for 100 Continue before it sends it, if streamed
}

// collectBody starts to collect the body of x, for a.
func (x *Exchange) collectBody(a Answerer) {
	s := x.s
	c, req := x.conn, x.Req.Parsed
	if TooLarge(req.Length, x.MaxBody) {
		x.Refuse(bodyTooBig)
		return
	}
	s.host.Keep(x)
	x.phase = awaitingBody
	c.body = &body{answerer: a, x: x}
	c.body.Begin(req, x.MaxBody, s.now())
	if req.Expect100 && len(s.rest) == 0 {
		c.Use()
		s.set.Buf = append(s.set.Buf, http1.Continue...)
	}
	c.Stamp = s.now()
	c.setState(StateBody)
	s.rest = c.collect(s.rest)
}

// collect takes what belongs to the body from the front of data and returns
// the rest. When the body is whole, or refused, c has another state.
func (c *Conn) collect(data []byte) (rest []byte) {
	s := c.s
	b := c.body
	c.Stamp = s.now()
	piece, rest, whole, err := b.Decode(data)
	if err == nil {
		err = b.Store(piece, s.cfg.SpoolSize, s.cfg.SpoolDir)
	}
	if err != nil {
		c.bodyFailed(err)
		return nil
	}
	if whole {
		c.bodyWhole()
	}
	return rest
}

// bodyWhole submits the request.
func (c *Conn) bodyWhole() {
	b := c.body
	c.body = nil
	c.setState(StateReady)
	r := b.x.Req
	r.Size = b.Size()
	r.Body, r.Spool = b.Stored()
	b.x.submit(b.answerer)
}

// bodyFailed refuses a request in the middle of its body.
func (c *Conn) bodyFailed(err error) {
	c.refuseBody(c.s.bodyRefusal(err))
}

// refuseBody answers a request whose body is being collected.
func (c *Conn) refuseBody(r exchange.Reply) {
	b := c.body
	c.body = nil
	b.Drop()
	c.setState(StateReady)
	b.x.Sink.Reply(r)
}

// bodyRefusal is what a client gets whose body could not be taken because of err.
func (s *Server) bodyRefusal(err error) exchange.Reply {
	r := exchange.Reply{Status: 500, Close: true}
	var malformed *http1.StatusError
	switch {
	case errors.Is(err, ErrTooLarge):
		r = bodyTooBig
	case errors.As(err, &malformed):
		r.Status, r.Text = malformed.Status, malformed.Text
	default:
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
			r.Status = 507
		}
		s.set.Log(loglevel.Error, "cannot store a request body in %s: %v", s.cfg.SpoolDir, err)
	}
	return r
}

// bodyDeadline returns when to look at a body again; a time that has passed
// means that it comes too slowly.
func (c *Conn) bodyDeadline() int64 {
	s := c.s
	if c.Stopped() { // the delay is not the client's
		return s.now() + int64(bodyLook)
	}
	if c.body.TooSlow(s.now(), s.cfg.BodyTimeout, s.cfg.BodyRate) {
		return s.now()
	}
	return min(c.Stamp+int64(s.cfg.BodyTimeout), s.now()+int64(bodyLook))
}
