package runtime

import "fapws/runtime/exchange"

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than maxAhead+1 requests of a connection at once (canPipeline). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (Pacer).

// defers notes that the handler has given x back, and lets it start if it may.
func (l *loop) defers(x *Exchange, p *exchange.Part) {
	x.handler.Release(p)
	if x.conn == nil { // its client has left meanwhile: the Last part has to come
		l.startDeferred(x)
		return
	}
	if l.mustWait(x) {
		l.countHeldBack(x)
	}
	x.defers()
	x.conn.advance()
}

// defers notes that the handler has x and does not start it before startDeferred.
func (x *Exchange) defers() {
	x.owed, x.deferred = false, true
	x.conn.deferred++
}

// dropHeld releases the parts that x keeps until its turn comes. ended reports whether the last one was among them: then x
// has ended.
func (x *Exchange) dropHeld() (ended bool) {
	l := x.l
	x.unholdAll()
	held := x.held
	x.held = held[:0]
	ended = len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		l.release(&held[i])
	}
	clear(held)
	return ended
}

// resumeDeferred starts deferred exchanges of c in their order: the one whose turn it is, and others while no
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
		l.startDeferred(x)
	}
}

// startDeferred has the handler start x. The caller has taken x out of conn.deferred.
func (l *loop) startDeferred(x *Exchange) {
	x.deferred = false
	x.since, x.owed = l.now(), true
	x.pacer().Resume(x.ticket)
	l.submitted = true
}

// pacer returns the handler of x if it is a Pacer, or nil.
func (x *Exchange) pacer() Pacer {
	p, _ := x.handler.(Pacer)
	return p
}
