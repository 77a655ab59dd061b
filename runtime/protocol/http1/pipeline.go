package http1

import "fapws/runtime/exchange"

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than MaxAhead+1 requests of a connection at once (canPipeline). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (exchange.Pacer).

// dropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) dropHeld() (ended bool) {
	x.unholdAll()
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.Release(&held[i])
	}
	clear(held)
	return ended
}

// resumeDeferred has sources begin with deferred exchanges of c in their order: the one whose turn it is, and others while no
// more than MaxAhead have been started; none that must wait for its client.
func (c *Conn) resumeDeferred() {
	for x := c.first; x != nil; x = x.next {
		if !x.deferred {
			continue
		}
		if x != c.first && int(c.active)-int(c.deferred) > MaxAhead || x.MustWait() {
			return
		}
		c.deferred--
		x.deferred = false
		x.Source.(exchange.Pacer).Resume(&x.Exchange)
	}
}

// Deferred implements exchange.Server: the source begins when its turn comes near.
func (x *Exchange) Deferred() {
	c := x.conn
	if x.MustWait() {
		x.countHeldBack()
	}
	x.deferred = true
	c.deferred++
	c.advance()
}
