package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	protocol "fapws/runtime/protocol/http1"
	"fapws/runtime/source/refusal"
)

// A body that is streamed (Mount.Streams) goes to the handler as it arrives, in
// pieces of the read buffer. Its exchange is the only one of the connection until
// it is whole: requests with a body wait for those before them, and what follows
// is not looked at. The response may begin, and end, before that.

// streamBody submits x, whose body is not yet here, unless it turns
// out that it is: chunks have to be looked at for that.
func (x *Exchange) streamBody() {
	l := x.l
	c, r, req := x.conn, x.Req, x.Req.Parsed
	if protocol.TooLarge(req.Length, x.maxBody) {
		x.refuse(bodyTooBig)
		return
	}
	b := &body{x: x, streamed: true, html: refusal.WantsHTML(req, r.Head)}
	b.Begin(req, x.maxBody, l.now())
	piece, left, whole, err := b.Decode(l.rest)
	if err != nil {
		x.refuse(l.bodyRefusal(err))
		return
	}
	r.Body, r.Size, r.More = piece, b.Size(), !whole
	if whole {
		l.rest = left
		l.submit(x, r)
		return
	}
	if r.Size = req.Length; b.Chunked() {
		r.Size = -1
	}
	b.expects = req.Expect100 && len(l.rest) == 0
	c.body, c.Stamp = b, l.now()
	c.setState(stateBody)
	l.rest = nil
	l.submit(x, r)
	if b.expects && c.body == b {
		b.expects = false
		c.Use()
		l.conns.Buf = append(l.conns.Buf, http1.Continue...)
	}
}

// feed delivers what belongs to the body from the front of data and returns the
// rest. When the body is whole, or the exchange is broken off, c has another state.
func (c *httpConn) feed(data []byte) (rest []byte) {
	l := c.l
	b := c.body
	x := b.x
	c.Stamp = l.now()
	piece, rest, whole, err := b.Decode(data)
	if err != nil {
		c.breakOff(l.bodyRefusal(err))
		return nil
	}
	if len(piece) == 0 && !whole {
		return nil
	}
	x.received += int64(len(piece))
	if whole {
		c.body = nil
		if x.keepAlive {
			c.setState(stateReady)
		} else {
			c.Linger = c.Linger || len(rest) > 0
			c.setState(stateEnding)
		}
	}
	l.deliverInput(x, exchange.Input{Data: piece, Last: whole})
	return rest
}

// bulkSize is how many bytes of a body are given to a handler at once, and at most.
const bulkSize = 256 << 10

// readOn returns data, if it has filled the loop's buffer, with what has come of the body
// behind it (what it leaves is reported again, see blunt): to wake the handler and to wait for its credit costs more than to read.
// Never so much that the handler would have more than bulkSize. Chunks gain nothing:
// they have to be moved together.
func (c *httpConn) readOn(data []byte) []byte {
	l := c.l
	b := c.body
	most := int(min(bulkSize-b.x.given, b.Missing()))
	if b.Chunked() || c.Half() || len(data) < l.conns.ReadSize() || len(data) >= most {
		return data
	}
	if l.bulk == nil {
		l.bulk = make([]byte, bulkSize)
	}
	n := copy(l.bulk, data)
	return l.bulk[:n+c.ReadMore(l.bulk[n:most])]
}

// skipMost is how many bytes of a body that nobody wants are awaited so that the
// connection can be kept: clients that send it behind the head, in another packet,
// have sent it by now.
const skipMost = 64 << 10

// unwanted gives up the rest of the body that is delivered to x, if it has not
// arrived: nobody takes it any more.
func (x *Exchange) unwanted() {
	l := x.l
	c := x.conn
	if c == nil || c.body == nil || c.body.x != x {
		return
	}
	if b := c.body; b.Chunked() || b.expects || b.Missing() > skipMost || !x.keepAlive || l.leaving {
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
	x.keepAlive = false
	c.Linger = true
	c.setState(stateEnding)
	c.resumeReading()
}

// skipRest throws away what belongs to an unwanted body from the front of data.
func (c *httpConn) skipRest(data []byte) (rest []byte) {
	l := c.l
	c.Stamp = l.now()
	_, rest, whole, _ := c.body.Decode(data) // it is not chunked
	if whole {
		c.body = nil
		c.setState(stateReady)
	}
	return rest
}

// skipping reports whether c waits for the rest of a body that is not wanted.
func (c *httpConn) skipping() bool { return c.body != nil && c.body.x == nil }

// endSkip waits for it no longer: the connection closes.
func (c *httpConn) endSkip() {
	c.body, c.Linger = nil, true
	c.setState(stateEnding)
	c.settle()
}

// breakOff ends the exchange to which the body of c is delivered, as the client
// has done something wrong. It is told with r, or, if the response has begun,
// by cutting that off.
func (c *httpConn) breakOff(r exchange.Reply) {
	x := c.body.x
	r.HTML = c.body.html
	x.cutBody()
	if x.out.Begun {
		c.Reset = x.out.NeedsReset() // its end would look like the body's
		c.cancelAll()
		c.settle()
		return
	}
	y := x.substitute()
	x.cancel()
	y.Reply(r)
}
