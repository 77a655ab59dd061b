package http1

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

// malformed answers bytes that are no request.
func (c *Conn) malformed(buf []byte, err error) {
	r := exchange.Reply{Status: 400, Close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.Status, r.Text = e.Status, e.Text
	}
	c.newErrorExchange(buf).Sink.Reply(r)
}

// newErrorExchange puts an exchange without a request behind those of c; buf is the input that came instead.
func (c *Conn) newErrorExchange(buf []byte) *http.Exchange {
	x := c.s.New(c)
	x.Version = http1.HTTP11
	c.append(x)
	c.s.Host.Malformed(x, buf)
	return x
}

// Replaced implements http.Carrier.
func (c *Conn) Replaced(x *http.Exchange, closes bool) {
	x.KeepAlive = x.KeepAlive && !closes && !c.s.Leaving()
	if !x.KeepAlive {
		// The client may be sending bytes that are not read: see conn.Conn.Finish.
		c.Linger = c.Linger || closes
		c.setState(StateEnding)
	}
}

// Leave takes x, which its client is not answered by HTTP/1 any more, from its connection.
func (c *Conn) Leave(x *http.Exchange) {
	if c.first == x {
		c.shift()
	}
}

// Substituted implements http.Carrier.
func (c *Conn) Substituted(x, y *http.Exchange) {
	if x.IsDeferred() {
		c.deferred--
	}
	at := &c.first
	for *at != x {
		at = &(*at).Next
	}
	*at = y
	if c.last == x {
		c.last = y
	}
}
