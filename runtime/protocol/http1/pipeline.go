package http1

import "fapws/runtime/protocol/http"

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than MaxAhead+1 requests of a connection at once (canPipeline). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (exchange.Pacer).

// resumeDeferred has sources begin with deferred exchanges of c in their order, the one whose turn it is, and others while no more than
// MaxAhead have been started.
func (c *Conn) resumeDeferred() {
	if c.Writing() {
		return
	}
	for x := c.first; x != nil; x = x.Next {
		if !x.IsDeferred() {
			continue
		}
		if x != c.first && int(c.active)-int(c.deferred) > MaxAhead {
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

// Cut implements http.Carrier. What the client has asked for behind x is lost, too.
func (c *Conn) Cut(*http.Exchange) {
	c.Reset = true
	c.Close("too much waits for its client")
	c.Abort()
}
