package runtime

import (
	"errors"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	protocol "fapws/runtime/protocol/http1"
	"fapws/runtime/source/refusal"

	"golang.org/x/sys/unix"
)

// body is that of a request which is still arriving. The handler hears of the
// request when it is whole, so that a slow client never holds an application, or,
// where Mount.Streams, at once: see stream.go.
type body struct {
	protocol.Body
	x        *Exchange // whose body it is; nil: no handler takes the rest any more, see unwanted
	streamed bool      // it is delivered to x as it arrives; else it is collected
	html     bool      // the client is a browser, if streamed
	expects  bool      // the client waits for 100 Continue before it sends it, if streamed
}

// collectBody starts to collect the body of x.
func (x *Exchange) collectBody() {
	l := x.l
	c, req := x.conn, x.Req.Parsed
	if protocol.TooLarge(req.Length, x.maxBody) {
		x.refuse(bodyTooBig)
		return
	}
	l.host.Keep(x)
	x.phase = awaitingBody
	c.body = &body{x: x}
	c.body.Begin(req, x.maxBody, l.now())
	if req.Expect100 && len(l.rest) == 0 {
		c.Use()
		l.conns.Buf = append(l.conns.Buf, http1.Continue...)
	}
	c.Stamp = l.now()
	c.setState(stateBody)
	l.rest = c.collect(l.rest)
}

// collect takes what belongs to the body from the front of data and returns
// the rest. When the body is whole, or refused, c has another state.
func (c *httpConn) collect(data []byte) (rest []byte) {
	l := c.l
	b := c.body
	c.Stamp = l.now()
	piece, rest, whole, err := b.Decode(data)
	if err == nil {
		err = b.Store(piece, l.cfg.SpoolSize, l.cfg.SpoolDir)
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
func (c *httpConn) bodyWhole() {
	l := c.l
	b := c.body
	c.body = nil
	c.setState(stateReady)
	r := b.x.Req
	r.Size = b.Size()
	r.Body, r.Spool = b.Stored()
	l.submit(b.x, r)
}

// bodyFailed refuses a request in the middle of its body.
func (c *httpConn) bodyFailed(err error) {
	l := c.l
	c.refuseBody(l.bodyRefusal(err))
}

// refuseBody answers a request whose body is being collected.
func (c *httpConn) refuseBody(r exchange.Reply) {
	b := c.body
	c.body = nil
	b.Drop()
	c.setState(stateReady)
	r.HTML = refusal.WantsHTML(b.x.Req.Parsed, b.x.Req.Head)
	b.x.Reply(r)
}

// bodyRefusal is what a client gets whose body could not be taken because of err.
func (l *loop) bodyRefusal(err error) exchange.Reply {
	r := exchange.Reply{Status: 500, Close: true}
	var malformed *http1.StatusError
	switch {
	case errors.Is(err, protocol.ErrTooLarge):
		r = bodyTooBig
	case errors.As(err, &malformed):
		r.Status, r.Text = malformed.Status, malformed.Text
	default:
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
			r.Status = 507
		}
		l.s.logf(loglevel.Error, "cannot store a request body in %s: %v", l.cfg.SpoolDir, err)
	}
	return r
}

// bodyDeadline returns when to look at a body again; a time that has passed
// means that it comes too slowly.
func (c *httpConn) bodyDeadline() int64 {
	l := c.l
	if c.stopped { // it is not the client who is waited for
		return l.now() + int64(bodyLook)
	}
	if c.body.TooSlow(l.now(), l.cfg.BodyTimeout, l.cfg.BodyRate) {
		return l.now()
	}
	return min(c.Stamp+int64(l.cfg.BodyTimeout), l.now()+int64(bodyLook))
}
