package http1conn

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// The handler gets a streamed body (Mount.Streams) in pieces as large as the read buffer. Until the body is complete,
// the connection begins no further exchange, even if the response has ended.

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

// maxPiece limits the bytes of a body that a handler gets in one piece.
const maxPiece = 256 << 10

// readOn returns data, which is a piece of the body. If data fills the loop's buffer, readOn appends further bytes of
// the body from the socket, up to maxPiece, because a read costs less than waking a thread again. For a chunked body,
// readOn reads nothing. If further bytes remain in the socket, conn.Conn.Ready reads them.
func (c *Conn) readOn(data []byte) []byte {
	s := c.s
	b := c.body
	most := int(min(maxPiece-int64(b.X.Outstanding), b.missing))
	if b.chunked || c.Half || len(data) < s.Set.ReadSize() || len(data) >= most {
		return data
	}
	if s.bulk == nil {
		s.bulk = make([]byte, maxPiece)
	}
	n := copy(s.bulk, data)
	return s.bulk[:n+c.ReadMore(s.bulk[n:most])]
}

// maxSkip limits the bytes of an unwanted body that are read and discarded to keep the connection open. A client that
// sends the body in a separate packet has usually sent at most this number of bytes when the response begins.
const maxSkip = 64 << 10

// giveUpBody discards the rest of the body of x, because no source needs it.
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

// cutBody makes the connection close after the response to x, because the body of x stays incomplete. Until then, the
// connection discards all input.
func (c *Conn) cutBody(x *exchange.Exchange) {
	c.body.Arrived()
	c.body = nil
	x.KeepAlive = false
	c.Linger = true
	c.setState(StateEnding)
	c.resumeReading()
}

func (c *Conn) skipping() bool { return c.body != nil && c.body.X == nil }

func (c *Conn) endSkip() {
	c.body, c.Linger = nil, true
	c.setState(StateEnding)
	c.Room(false)
}

// A client that does not read could fill the server's memory with the responses to its pipelined requests (RFC 9112
// §9.3.2). If responses can grow to any size, at most MaxAhead+1 requests of a connection therefore run at once
// (canPipeline). A Python application can get more requests in one batch, because most of its responses are small. It
// starts them only while few bytes wait for the client (OpDeferred).

// beginDelayed begins the first exchange of c and, in order, further exchanges while at most MaxAhead exchanges have
// begun.
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
