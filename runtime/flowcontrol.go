package runtime

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// What a handler is given besides requests (bodies in pieces, messages) waits in
// its memory until the application takes it. The loop counts it for each exchange,
// and beyond exchange.InputWindow stops to read that connection until the handler
// has given credit for half of it. So the memory for a client is bounded by the
// window and what one read brings, or bulkSize.

// tell hands input over to the source of x, if it takes any.
func (l *loop) tell(x *Exchange, in exchange.Input) {
	if r, ok := x.Source.(exchange.Receiver); ok {
		r.Input(&x.Exchange, in)
	}
}

// deliverInput is tell for what the handler has to give credit for, and stops reading if it has
// enough now.
func (l *loop) deliverInput(x *Exchange, in exchange.Input) {
	l.tell(x, in)
	x.given += int64(len(in.Data)) + exchange.InputCost
	if x.given > exchange.InputWindow && !in.Last {
		x.conn.pauseReading()
	}
}

// Credit implements exchange.Server.
func (x *Exchange) Credit(n int64) {
	if x.socket != nil && x.socket.HasConn() {
		x.socket.Credit(n)
		return
	}
	x.given = max(0, x.given-n)
	if c := x.conn; c != nil && c.stopped && !x.detached && x.given < exchange.InputWindow/2 {
		c.resumeReading()
	}
}

// pauseReading stops reading from c until resumeReading, whatever is pending. The time until then
// is not the client's.
func (c *httpConn) pauseReading() {
	l := c.l
	if c.stopped || c.Half() { // half-closed: nothing comes
		return
	}
	if !c.Paused() {
		c.Pause(conn.HeedReset)
	}
	c.stopped = true
	if c.body != nil {
		c.body.Pause(l.now())
	}
}

// resumeReading ends what pauseReading began, or the pause of a connection of which nothing is
// wanted.
func (c *httpConn) resumeReading() {
	l := c.l
	if c.stopped && c.body != nil {
		c.body.Resume(l.now())
	}
	c.stopped = false
	c.Stamp = l.now()
	if c.Paused() {
		c.Unpause()
	}
	if c.reading() && len(c.Pending()) > 0 {
		c.queue()
	}
}
