package http1

import "fapws/runtime/protocol/http"

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than MaxAhead+1 requests of a connection at once (canPipeline). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (exchange.Pacer).

// ResumeDeferred implements http.Carrier: sources begin with deferred exchanges of c in their order, the one whose turn it is, and others while no
// more than MaxAhead have been started; none that must wait for its client.
func (c *Conn) ResumeDeferred() {
	if c.Writing() {
		return
	}
	for x := c.first; x != nil; x = x.Next {
		if !x.IsDeferred() {
			continue
		}
		if x != c.first && int(c.active)-int(c.deferred) > MaxAhead || x.MustWait() {
			return
		}
		c.deferred--
		x.ResumeDeferred()
	}
}

// Deferred implements http.Carrier.
func (c *Conn) Deferred(*http.Exchange) {
	c.deferred++
	c.Advance()
}

// First implements http.Carrier.
func (c *Conn) First(x *http.Exchange) bool { return x == c.first }
