package http1

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A body that is streamed (Answerer.Streams) goes to the handler as it arrives, in
// pieces of the read buffer. Its exchange is the only one of the connection until
// it is whole: requests with a body wait for those before them, and what follows
// is not looked at. The response may begin, and end, before that.

// streamBody submits x to a. The body of x may be here after all: chunks have to be looked at for that.
func (x *Exchange) streamBody(a Answerer) {
	s := x.s
	c, r, req := x.conn, x.Req, x.Req.Parsed
	if TooLarge(req.Length, x.MaxBody) {
		x.Refuse(bodyTooBig)
		return
	}
	b := &body{x: x, streamed: true}
	b.Begin(req, x.MaxBody, s.now())
	piece, left, whole, err := b.Decode(s.rest)
	if err != nil {
		x.Refuse(s.bodyRefusal(err))
		return
	}
	r.Body, r.Size, r.More = piece, b.Size(), !whole
	if whole {
		s.rest = left
		x.submit(a)
		return
	}
	if r.Size = req.Length; b.Chunked() {
		r.Size = -1
	}
	b.expects = req.Expect100 && len(s.rest) == 0
	c.body, c.Stamp = b, s.now()
	c.setState(StateBody)
	s.rest = nil
	x.submit(a)
	if b.expects && c.body == b {
		b.expects = false
		c.Use()
		s.set.Buf = append(s.set.Buf, http1.Continue...)
	}
}

// feed delivers what belongs to the body from the front of data and returns the
// rest. When the body is whole, or the exchange is broken off, c has another state.
func (c *Conn) feed(data []byte) (rest []byte) {
	s := c.s
	b := c.body
	x := b.x
	c.Stamp = s.now()
	piece, rest, whole, err := b.Decode(data)
	if err != nil {
		c.breakOff(s.bodyRefusal(err))
		return nil
	}
	if len(piece) == 0 && !whole {
		return nil
	}
	x.Received += int64(len(piece))
	if whole {
		c.body = nil
		if x.KeepAlive {
			c.setState(StateReady)
		} else {
			c.Linger = c.Linger || len(rest) > 0
			c.setState(StateEnding)
		}
	}
	x.deliverInput(exchange.Input{Data: piece, Last: whole})
	return rest
}

// MaxPiece is how many bytes of a body are given to a handler at once, and at most.
const MaxPiece = 256 << 10

// readOn returns data, if it has filled the loop's buffer, with what has come of the body
// behind it (what it leaves is reported again, see blunt): to wake the handler and to wait for its credit costs more than to read.
// Never so much that the handler would have more than MaxPiece. Chunks gain nothing:
// they have to be moved together.
func (c *Conn) readOn(data []byte) []byte {
	s := c.s
	b := c.body
	most := int(min(MaxPiece-int64(b.x.given), b.Missing()))
	if b.Chunked() || c.Half() || len(data) < s.set.ReadSize() || len(data) >= most {
		return data
	}
	if s.bulk == nil {
		s.bulk = make([]byte, MaxPiece)
	}
	n := copy(s.bulk, data)
	return s.bulk[:n+c.ReadMore(s.bulk[n:most])]
}

// MaxSkip is how many bytes of an unwanted body are awaited so that the
// connection can be kept: clients that send it behind the head, in another packet,
// have sent it by now.
const MaxSkip = 64 << 10

// unwanted gives up the rest of the body that is delivered to x, if it has not
// arrived: nobody takes it any more.
func (x *Exchange) unwanted() {
	s := x.s
	c := x.conn
	if c == nil || c.body == nil || c.body.x != x {
		return
	}
	if b := c.body; b.Chunked() || b.expects || b.Missing() > MaxSkip || !x.KeepAlive || s.leaving {
		x.cutBody()
	} else {
		b.x = nil
		c.resumeReading()
	}
}

// cutBody makes the connection of x close after the response, because its body will
// not be whole. What the client sends until then is thrown away.
func (x *Exchange) cutBody() {
	c := x.conn
	c.body = nil
	x.KeepAlive = false
	c.Linger = true
	c.setState(StateEnding)
	c.resumeReading()
}

// skipRest throws away what belongs to an unwanted body from the front of data.
func (c *Conn) skipRest(data []byte) (rest []byte) {
	s := c.s
	c.Stamp = s.now()
	_, rest, whole, _ := c.body.Decode(data) // it is not chunked
	if whole {
		c.body = nil
		c.setState(StateReady)
	}
	return rest
}

// skipping reports whether c waits for the rest of a body that is not wanted.
func (c *Conn) skipping() bool { return c.body != nil && c.body.x == nil }

// endSkip waits for it no longer: the connection closes.
func (c *Conn) endSkip() {
	c.body, c.Linger = nil, true
	c.setState(StateEnding)
	c.settle()
}

// breakOff ends the exchange to which the body of c is delivered, as the client
// has done something wrong. It is told with r, or, if the response has begun,
// by cutting that off.
func (c *Conn) breakOff(r exchange.Reply) {
	x := c.body.x
	x.cutBody()
	if x.Out.Begun {
		c.Reset = x.Out.NeedsReset() // its end would look like the body's
		c.cancelAll()
		c.settle()
		return
	}
	y := x.Substitute()
	x.cancel()
	y.Sink.Reply(r)
}
