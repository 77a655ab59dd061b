package runtime

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/refusal"
)

var (
	allowRead  = []byte("Allow: GET, HEAD\r\n")
	retryAfter = []byte("Retry-After: 1\r\n")
	bodyTooBig = exchange.Reply{Status: 413, Text: "input body too big", Close: true}
)

// refuseRouted answers x, which routing has refused.
func (x *Exchange) refuseRouted() {
	l := x.l
	q := x.req
	if q.Fault != "" {
		l.logClient(x.conn, x.rules, loglevel.Error, "%s", q.Fault)
	}
	x.refuse(exchange.Reply{Status: q.Status, Fields: q.Fields, Text: q.Text, Whole: q.Status < 400})
}

// refuse answers x, which is being decided about, without a source.
func (x *Exchange) refuse(r exchange.Reply) {
	if !r.Close {
		x.skipBody()
	}
	x.Reply(r)
}

// skipBody skips the body of x, which is being decided about: nothing takes it. A body that is not here yet ends the connection.
func (x *Exchange) skipBody() {
	s, req := &x.l.httpServer, x.Req.Parsed
	switch {
	case !hasBody(req):
	case req.Body == http1.Sized && req.Length <= int64(len(s.rest)):
		s.rest = s.rest[req.Length:]
		x.received += req.Length
	default:
		x.keepAlive, x.conn.Linger = false, true
		x.conn.setState(stateEnding)
	}
}

// malformed answers bytes that are no request.
func (c *httpConn) malformed(buf []byte, err error) {
	r := exchange.Reply{Status: 400, Close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.Status, r.Text = e.Status, e.Text
	}
	c.newErrorExchange(buf).Reply(r)
}

// newErrorExchange puts an exchange without a request behind those of c; buf is what came
// instead. It is the default site's.
func (c *httpConn) newErrorExchange(buf []byte) *Exchange {
	l := c.l
	x := l.exchanges.get()
	x.minor = 1
	if len(l.sites) > 0 {
		x.rules = l.sites[0].rules
	}
	c.append(x)
	l.noteMalformed(x, buf)
	return x
}

// refuseFor answers x for its handler, which has left that to the loop.
func (x *Exchange) refuseFor(p *exchange.Part) {
	l := x.l
	r := exchange.Reply{Status: p.Head.Status, Text: string(p.Head.Reason), Fields: bytes.Clone(p.Head.Fields)}
	if len(p.Head.Request) > 0 {
		if parsed, err := l.parsedOf(&p.Head); err == nil {
			r.HTML = refusal.WantsHTML(parsed, p.Head.Request)
		}
	}
	if p.Last {
		x.handler.Release(p) // the ticket stays taken until the answer is sent
		x.Reply(r)
		return
	}
	y := x.substitute()
	l.release(p)
	y.Reply(r)
	x.handler.Cancel(x.ticket)
	l.submitted = true
}

// Reply implements exchange.Sink.
func (x *Exchange) Reply(r exchange.Reply) {
	l, c := x.l, x.conn
	if l.debug >= 1 {
		l.tracef("%s gets %d: %s", c, r.Status, r.Text)
	}
	if q := x.req; q != nil {
		r.HTML = refusal.WantsHTML(&q.parsed, q.Head)
	}
	x.phase, x.req, x.Source = answering, nil, exchange.Memory{}
	x.keepAlive = x.keepAlive && !r.Close && !l.leaving
	x.overridden, x.sendCacheStatus = r.Override, false
	if !x.keepAlive {
		// The client may be sending what is not read: see finish.
		c.Linger = c.Linger || r.Close
		c.setState(stateEnding)
	}
	x.rules.errorPages().Answer(&x.Exchange, r)
}
