package http1

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

var bodyTooBig = exchange.Reply{Status: 413, Text: "input body too big", Close: true}

// Refuse answers x, which is being decided about, without a source.
func (x *Exchange) Refuse(r exchange.Reply) {
	if !r.Close {
		x.skipBody()
	}
	x.Sink.Reply(r)
}

// skipBody skips the body of x, which is being decided about: nothing takes it. A body that is not here yet ends the connection.
func (x *Exchange) skipBody() {
	s, req := x.s, x.Req.Parsed
	switch {
	case !hasBody(req):
	case req.Body == http1.Sized && req.Length <= int64(len(s.rest)):
		s.rest = s.rest[req.Length:]
		x.Received += req.Length
	default:
		x.KeepAlive, x.conn.Linger = false, true
		x.conn.setState(StateEnding)
	}
}

// malformed answers bytes that are no request.
func (c *Conn) malformed(buf []byte, err error) {
	r := exchange.Reply{Status: 400, Close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.Status, r.Text = e.Status, e.Text
	}
	c.newErrorExchange(buf).Sink.Reply(r)
}

// newErrorExchange puts an exchange without a request behind those of c; buf is the input that came instead.
func (c *Conn) newErrorExchange(buf []byte) *Exchange {
	x := c.s.get()
	x.minor = 1
	c.append(x)
	c.s.host.Malformed(x, buf)
	return x
}

// Replace makes x, which has not begun, a response of the server itself, which Send has to follow. Its source has nothing to do with it
// any more. closes says that the connection cannot stay open. Exchanges without a client cannot be answered.
func (x *Exchange) Replace(closes bool) {
	c := x.conn
	x.unwanted()
	x.phase, x.Req, x.Source, x.Fields = answering, nil, exchange.Memory{}, nil
	x.KeepAlive = x.KeepAlive && !closes && !x.s.leaving
	if !x.KeepAlive {
		// The client may be sending bytes that are not read: see conn.Conn.Finish.
		c.Linger = c.Linger || closes
		c.setState(StateEnding)
	}
}

// Leave takes x, which its client is not answered by HTTP/1 any more, from its connection.
func (x *Exchange) Leave() {
	if c := x.conn; c.first == x {
		c.shift()
	}
}

// Substitute puts a new exchange, which the server itself is to answer, in the place of x among those of its connection.
func (x *Exchange) Substitute() *Exchange {
	s := x.s
	x.unwanted()
	c, y := x.conn, s.get()
	y.conn, y.next = c, x.next
	y.minor, y.head, y.KeepAlive, y.safe = x.minor, x.head, x.KeepAlive, x.safe
	y.Received = x.Received
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
	s.host.Substituted(x, y)
	x.conn, x.next = nil, nil
	return y
}

// ClientGone ends x, whose connection another protocol has, when the client has left.
func (x *Exchange) ClientGone() {
	x.conn = nil
	x.Source.OnGone(&x.Exchange)
}
