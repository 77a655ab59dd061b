package http1conn

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A body that is streamed (Mount.Streams) goes to the handler as it arrives, in
// pieces of the read buffer. Its exchange is the only one of the connection until
// it is whole: requests with a body wait for those before them, and what follows
// is not looked at. The response may begin, and end, before that.

// askForBody sends 100 Continue to a client that waits for it. The time of the body begins then.
func (c *Conn) askForBody() {
	b, s := c.body, c.s
	if !b.Expects {
		return
	}
	b.Asked(s.Set.Now)
	c.Stamp = s.Set.Now
	c.Use()
	s.Set.Buf = append(s.Set.Buf, http1.Continue...)
}

// maxPiece is how many bytes of a body are given to a handler at once, and at most.
const maxPiece = 256 << 10

// readOn returns data, if it has filled the loop's buffer, together with the bytes of the body that have arrived behind it:
// waking the handler and waiting for its credit costs more than reading. The handler never gets more than maxPiece. Chunks
// gain nothing, because they have to be moved together. conn.Conn.Ready reads the bytes that readOn leaves.
func (c *Conn) readOn(data []byte) []byte {
	s := c.s
	b := c.body
	most := int(min(maxPiece-b.X.Given(), b.missing))
	if b.chunked || c.Half || len(data) < s.Set.ReadSize() || len(data) >= most {
		return data
	}
	if s.bulk == nil {
		s.bulk = make([]byte, maxPiece)
	}
	n := copy(s.bulk, data)
	return s.bulk[:n+c.ReadMore(s.bulk[n:most])]
}

// maxSkip is how many bytes of an unwanted body are awaited so that the
// connection can be kept: clients that send it behind the head, in another packet,
// have sent it by now.
const maxSkip = 64 << 10

// giveUpBody is called when nothing takes the rest of the body of x any more, if there is one.
func (c *Conn) giveUpBody(x *exchange.Exchange) {
	if c.body == nil || c.body.X != x {
		return
	}
	if b := c.body; b.chunked || b.Expects || b.missing > maxSkip || !x.KeepAlive || c.s.End >= exchange.Leaving {
		c.cutBody(x)
	} else {
		b.Arrived()
		b.X = nil
		c.resumeReading()
	}
}

// cutBody makes the connection close after the response to x, because its body will
// not be whole. What the client sends until then is thrown away.
func (c *Conn) cutBody(x *exchange.Exchange) {
	c.body.Arrived()
	c.body = nil
	x.KeepAlive = false
	c.Linger = true
	c.setState(StateEnding)
	c.resumeReading()
}

// skipping reports whether c waits for the rest of a body that is not wanted.
func (c *Conn) skipping() bool { return c.body != nil && c.body.X == nil }

// endSkip waits for it no longer: the connection closes.
func (c *Conn) endSkip() {
	c.body, c.Linger = nil, true
	c.setState(StateEnding)
	c.Room(false)
}

// What is made for a client that does not read is bounded over all the requests that it has
// sent ahead (RFC 9112 §9.3.2). Sources that may give an answer of any size have no more
// than MaxAhead+1 requests of a connection at once (canPipeline). The application gets more in one batch,
// as most answers are small, and starts them only while the sum of those that wait is small (OpDeferred).

// beginDelayed has delayed exchanges of c begin in their order, the one whose turn it is, and others while no more than MaxAhead have been
// started.
func (c *Conn) beginDelayed() {
	if c.Writing() {
		return
	}
	begun := 0
	for x := c.first; x != nil; x = x.Next {
		if !x.Delayed() {
			begun++
		}
	}
	for x := c.first; x != nil; x = x.Next {
		if x.Delayed() && (x == c.first || begun <= MaxAhead) {
			x.Begin()
			begun++
		}
	}
}
