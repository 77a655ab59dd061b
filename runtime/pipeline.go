package runtime

import "fapws/runtime/exchange"

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than maxAhead+1 requests of a connection at once (canPipeline). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (exchange.Pacer).

// dropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) dropHeld() (ended bool) {
	x.unholdAll()
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.release(&held[i])
	}
	clear(held)
	return ended
}

// resumeDeferred has sources begin with deferred exchanges of c in their order: the one whose turn it is, and others while no
// more than maxAhead have been started; none that must wait for its client.
func (l *loop) resumeDeferred(c *httpConn) {
	for x := c.first; x != nil; x = x.next {
		if !x.deferred {
			continue
		}
		if x != c.first && int(c.active)-int(c.deferred) > maxAhead || l.mustWait(x) {
			return
		}
		c.deferred--
		x.deferred = false
		x.Source.(exchange.Pacer).Resume(&x.Exchange)
	}
}

// Deferred implements exchange.Server: the source begins when its turn comes near.
func (x *Exchange) Deferred() {
	l, c := x.l, x.conn
	if l.mustWait(x) {
		l.countHeldBack(x)
	}
	x.deferred = true
	c.deferred++
	c.advance()
}
