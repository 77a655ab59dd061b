package runtime

import (
	"fapws/runtime/exchange"
)

// An Exchange is the Sink of itself: what its source sends goes to the connection, or has to wait for its turn there.

var (
	_ exchange.Source = (*appSource)(nil)
	_ exchange.Source = (*cacheSource)(nil)
	_ exchange.Source = (*fileSource)(nil)
)

// handedFiles is the source of exchanges that another source has handed over.
var handedFiles = new(fileSource)

// of returns the Exchange of the loop that x is part of.
func of(x *exchange.Exchange) *Exchange { return x.Sink.(*Exchange) }

// Send implements exchange.Sink.
func (x *Exchange) Send(p *exchange.Part) {
	p.Ticket = x.ticket
	l := x.l
	switch c := x.conn; {
	case c == nil:
		l.release(p)
	case c.first != x || c.transfer != nil:
		l.hold(x, p)
	default:
		l.send(x, p)
		l.advance(c)
	}
}

// sourceOf returns the source of a mount without a Rewrite.
func sourceOf(m *Mount) exchange.Source {
	switch {
	case m.Static != nil:
		return &fileSource{mount: m}
	case m.Answer != nil:
		return m.Answer
	default:
		return &appSource{mount: m}
	}
}
