package http1

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// Pieces of bodies, and messages, wait in memory until the application takes
// them. The loop counts their bytes for each exchange, and beyond
// exchange.InputWindow stops reading that connection until the handler
// has given credit for half of it. So the memory for a client is bounded by the
// window and what one read brings, or MaxPiece.

// Tell hands input over to the source of x, if it takes any.
func (x *Exchange) Tell(in exchange.Input) {
	if r, ok := x.Source.(exchange.Receiver); ok {
		r.Input(&x.Exchange, in)
	}
}

// deliverInput is Tell for what the handler has to give credit for, and stops reading if it has
// enough now.
func (x *Exchange) deliverInput(in exchange.Input) {
	x.Tell(in)
	if x.given.Add(in.Data) && !in.Last {
		x.conn.pauseReading()
	}
}

// Credit implements exchange.Server.
func (x *Exchange) Credit(n int64) {
	more := x.given.Credit(n)
	if c := x.conn; c != nil && c.Stopped() && !x.detached && more {
		c.resumeReading()
	}
}

// pauseReading stops reading from c until resumeReading, whatever is pending. The time until then
// is not the client's.
func (c *Conn) pauseReading() {
	if c.Stop(conn.HeedReset) && c.body != nil {
		c.body.Pause(c.s.now())
	}
}

// resumeReading ends what pauseReading began, or the pause of a connection of which nothing is
// wanted.
func (c *Conn) resumeReading() {
	if c.Stopped() && c.body != nil {
		c.body.Resume(c.s.now())
	}
	c.Continue()
	if c.reading() && len(c.Pending()) > 0 {
		c.queue()
	}
}
