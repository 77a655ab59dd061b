package http1

import (
	"fapws/runtime/exchange"
)

// An Exchange has most methods of exchange.Sink and exchange.Server: parts that its source sends go to the connection, or wait for their
// turn there. The Host adds those that need to know its site.

// Send implements exchange.Sink.
func (x *Exchange) Send(p *exchange.Part) {
	if p.Last {
		if x.detached && x.reattachSocket(p) {
			return
		}
		x.unwanted()
	}
	switch c := x.conn; {
	case c == nil, p.Interim && !x.takesInterim():
		x.Release(p)
	case c.first != x || c.Writing():
		x.Hold(p)
	default:
		x.transmit(p)
		c.advance()
	}
}

// InTurn implements exchange.Server.
func (x *Exchange) InTurn() bool { return x.conn.first == x && !x.conn.Writing() }

// AwaitTurn implements exchange.Server.
func (x *Exchange) AwaitTurn() {
	if x.phase == deciding {
		x.suspend(awaitingTurn)
	} else {
		x.awaitsTurn = true
	}
}

// Keep implements exchange.Server.
func (x *Exchange) Keep() {
	x.s.host.Keep(x)
	x.lasting = true
}

// WaitsForClient implements exchange.Server. Parts may wait for the client, or for earlier responses, or the rest of a body is
// awaited. An application with a descriptor of its own (detached) may wait for the client at any time.
func (x *Exchange) WaitsForClient() bool {
	if c := x.conn; c != nil && (x.detached || x.Out.Begun && c.Writing() || c.body != nil && !c.Stopped()) {
		return true
	}
	return len(x.held) > 0
}

// Beside implements exchange.Server.
func (x *Exchange) Beside(work func(), done func(gone bool)) {
	if x.phase == deciding {
		source := x.Source
		x.suspend(awaitingSource)
		x.Source = source
	}
	x.beside = true
	x.s.set.Beside(work, func(bug bool) { x.besideDone(done, bug) })
}

// besideDone goes on with x, whose source has done its work beside the loop.
func (x *Exchange) besideDone(done func(gone bool), bug bool) {
	if c := x.conn; c != nil && bug {
		c.Close("internal error")
	}
	x.beside = false
	c := x.conn
	if c == nil {
		if !bug {
			done(true)
		}
		x.End()
		return
	}
	if x.phase == awaitingSource {
		c.undecided, x.phase = false, answering
	}
	c.Stamp = x.s.now()
	done(false)
}

// Wall implements exchange.Server.
func (x *Exchange) Wall() int64 { return x.s.set.Start().UnixNano() + x.s.now() }
