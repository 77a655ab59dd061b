package runtime

import "fapws/runtime/exchange"

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than maxAhead+1 requests of a connection at once (mayGo). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (Pacer).

// defers notes that the handler has not started x.
func (l *loop) defers(x *flight, p *exchange.Part) {
	x.owed, x.deferred = false, true
	x.handler.Release(p)
	c := x.conn
	if c == nil { // its client has left meanwhile: the Last part has to come
		l.resumeFlight(x)
		return
	}
	c.deferred++
	l.advance(c)
}

// resumeDeferred starts deferred exchanges of c in their order: the one whose turn it is, and others while no
// more than maxAhead have been started.
func (l *loop) resumeDeferred(c *conn) {
	for x := c.first; x != nil; x = x.next {
		if !x.deferred {
			continue
		}
		if x != c.first && int(c.flights)-int(c.deferred) > maxAhead {
			return
		}
		c.deferred--
		l.resumeFlight(x)
	}
}

// resumeFlight has the handler start x. The caller has taken x out of conn.deferred.
func (l *loop) resumeFlight(x *flight) {
	x.deferred = false
	x.since, x.owed = l.now, true
	x.handler.(Pacer).Resume(x.ticket)
	l.submitted = true
}
