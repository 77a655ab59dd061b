package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/refusal"
)

var (
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

// Reply implements exchange.Sink.
func (x *Exchange) Reply(r exchange.Reply) {
	l, c := x.l, x.conn
	if c == nil {
		x.end()
		return
	}
	if l.debug >= 1 {
		l.tracef("%s gets %d: %s", c, r.Status, r.Text)
	}
	if s := x.socket; s != nil && s.HasConn() { // it is open for its client
		if c.first == x {
			c.shift()
		}
		x.end()
		s.NotResumed()
		return
	}
	x.unwanted()
	x.leaveSocket()
	if q := x.req; q != nil {
		r.HTML = refusal.WantsHTML(&q.parsed, q.Head)
	}
	x.phase, x.req, x.Source = answering, nil, exchange.Memory{}
	x.keepAlive = x.keepAlive && !r.Close && !l.leaving
	x.overridden, x.Fields = r.Override, nil
	if !x.keepAlive {
		// The client may be sending what is not read: see finish.
		c.Linger = c.Linger || r.Close
		c.setState(stateEnding)
	}
	x.rules.errorPages().Answer(&x.Exchange, r)
}

// substitute puts a new exchange, which the loop is to answer, in the place of
// x among those of its connection.
func (x *Exchange) substitute() *Exchange {
	l := x.l
	x.unwanted()
	x.leaveSocket()
	c, y := x.conn, l.exchanges.get()
	y.conn, y.next = c, x.next
	y.minor, y.head, y.keepAlive, y.safe = x.minor, x.head, x.keepAlive, x.safe
	y.received = x.received
	y.log, y.quiet, y.rules = x.log, x.quiet, x.rules
	y.bulky = x.bulky
	if x.deferred {
		x.deferred = false
		c.deferred--
	}
	at := &c.first
	for *at != x {
		at = &(*at).next
	}
	*at = y
	if c.last == x {
		c.last = y
	}
	x.conn, x.next, x.log = nil, nil, nil
	return y
}
