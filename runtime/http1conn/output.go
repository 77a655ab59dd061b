package http1conn

import (
	"bytes"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func (c *Conn) InTurn(x *exchange.Exchange) bool { return c.active.First == x && !c.Writing() }

// Write may close the connection.
func (c *Conn) Write(x *exchange.Exchange, p *exchange.Part) {
	if p.Last() && c.body != nil {
		c.giveUpBody(x)
	}
	if c.active.First != x || c.Writing() {
		x.Hold(p)
		return
	}
	c.transmit(x, p)
	if c.active.First != nil {
		c.advance()
	}
}

// advance sends held parts in the order of the exchanges, until the next part does not exist yet or a transfer begins.
func (c *Conn) advance() {
	for c.active.First != nil && !c.Writing() {
		x := c.active.First
		p, ok := x.TakeTurn()
		if p != nil {
			c.transmit(x, p)
		}
		if !ok {
			break
		}
	}
	c.beginDelayed()
}

// A client that does not read could fill the server's memory with the responses to its pipelined requests (RFC 9112
// §9.3.2). If responses can grow to any size, at most maxAhead+1 requests of a connection therefore run at once
// (canPipeline). A Python application can get more requests in one batch, because most of its responses are small. It
// starts them only while few bytes wait for the client (OpDeferred).

// beginDelayed begins the first exchange of c and, in order, further exchanges while at most maxAhead exchanges have
// begun.
func (c *Conn) beginDelayed() {
	if c.Writing() {
		return
	}
	begun := 0
	for x := c.active.First; x != nil; x = x.Next {
		if !x.Delayed() {
			begun++
		}
	}
	for x := c.active.First; x != nil; x = x.Next {
		if x.Delayed() && (x == c.active.First || begun <= maxAhead) {
			x.Begin()
			begun++
		}
	}
}

// transmit sends a part of x, the first exchange of c. transmit may end x and close the connection.
func (c *Conn) transmit(x *exchange.Exchange, p *exchange.Part) {
	s, out := c.s, c.Use()
	if p.First || p.Interim {
		*out = x.AppendHeadOf(*out, p, x.KeepAlive && !(s.End >= exchange.Discouraged && x.Next == nil))
	}
	if p.Interim {
		x.Release(p)
		if len(*out) > conn.FlushLimit {
			s.Set.Flush()
		}
		return
	}
	body, count, broken := x.Take(p)
	var tail []byte
	if x.Out.Framing == http1.Chunked {
		size := int64(len(body)) + count
		before := len(*out)
		*out = appendChunk(*out, size)
		tail = chunkTail(size, p.End == exchange.Complete && p.Takeover == nil, x.Out.Trailers(p))
		x.Out.AddFraming(len(*out) - before + len(tail))
	}
	if p.Takeover != nil {
		c.takeOver(x, p.Takeover)
	} else if p.Last() {
		c.complete(x, broken)
	}
	if count > 0 {
		c.sendFile(x, p, body, count, tail)
		return
	}
	if len(body) <= conn.CopyLimit {
		*out = append(append(*out, body...), tail...)
		x.Release(p)
		if len(*out) > conn.FlushLimit {
			s.Set.Flush()
		}
		return
	}
	exchange.SendPart(&c.Client.Conn, p, x, body, tail)
	c.Drained(false)
}

// takeOver calls to, which begins another protocol on the connection. The response of x must already be written or
// gathered.
func (c *Conn) takeOver(x *exchange.Exchange, to exchange.Takeover) {
	c.active.Shift()
	c.cancelAll()
	c.setState(StateTakenOver)
	x.PassOn(to)
}

// SwitchProtocols leaves the input after the request to the new protocol, as pending input.
func (c *Conn) SwitchProtocols(x *exchange.Exchange, r *http1.ResponseHead) (transport *conn.Conn, head []byte) {
	if r != nil {
		head = x.AppendHead(nil, r)
	}
	if c.active.First == x {
		c.active.Shift()
	}
	return &c.Client.Conn, head
}

// complete removes x from the list of active exchanges after the last bytes of its response were gathered. If broken is
// true, the response is incomplete, and the connection closes in a way that shows the client that the rest is missing.
// x ends when its last part is released.
func (c *Conn) complete(x *exchange.Exchange, broken bool) {
	c.active.Shift()
	if broken {
		x.CloseAfter()
		// a reset, because the client would take an ordinary close for the end of the body
		c.Reset = x.Out.Framing == http1.UntilClose
	}
	if !x.KeepAlive {
		if c.body != nil {
			c.body, c.Linger = nil, true
		}
		c.cancelAll()
		c.setState(StateEnding)
	}
	c.Stamp = c.s.Set.Now
	if c.state == StateWaiting && !c.waits() {
		c.queue()
	}
}

func (c *Conn) queue() {
	if !c.Writing() {
		c.Again()
	}
}

func (c *Conn) cancelAll() {
	for c.active.First != nil {
		c.active.Shift().Abandon()
	}
}

func (c *Conn) newErrorExchange(buf []byte) *exchange.Exchange {
	x := c.s.New(&c.Client, c)
	c.active.Add(x)
	x.Malformed(http1.HTTP11, buf)
	return x
}

// If y is nil, Replace closes c, which also ends the exchanges after x.
func (c *Conn) Replace(x, y *exchange.Exchange, closes bool) {
	if y == nil {
		c.Reset = true
		c.Close("too much waits for its client")
		c.Abort()
		return
	}
	c.giveUpBody(x)
	if y != x {
		c.active.Replace(x, y)
		return
	}
	if closes || c.s.End >= exchange.Leaving {
		x.CloseAfter()
	}
	if !x.KeepAlive {
		c.Linger = c.Linger || closes
		c.setState(StateEnding)
	}
}

// sendFile sends, in this order, the gathered bytes of c, body, count bytes of the file of p, and tail. Bytes for which
// the socket has no room are sent later, as a transfer (conn.Conn.Queue). sendFile releases p.
func (c *Conn) sendFile(x *exchange.Exchange, p *exchange.Part, body []byte, count int64, tail []byte) {
	s := c.s
	buf := c.TakeGathered()
	if len(body) <= conn.CopyLimit {
		buf, body = append(buf, body...), nil
	}
	file := conn.Item{File: *p.File, More: len(tail) > 0}
	file.Count = count
	s.items = append(s.items[:0], conn.Item{Data: buf, More: true}, conn.Item{Data: body, More: true}, file,
		conn.Item{Data: tail})
	defer clear(s.items)
	left, full, err := c.WriteItems(s.items)
	switch {
	case err != nil:
		x.PartSent(p, err)
		c.Close(err.Error())
	case len(left) == 0:
		x.Release(p)
		c.Drained(false)
	default:
		if len(left) == len(s.items) {
			left[0].Data = bytes.Clone(left[0].Data) // Copy the data, because the buffer of Use is reused.
		}
		exchange.QueuePart(&c.Client.Conn, p, x, slices.Clone(left), full)
	}
}

// Drained sends output that has waited for the end of a transfer, and closes c after the last response.
func (c *Conn) Drained(ended bool) {
	s := c.s
	if ended {
		c.Stamp = s.Set.Now
		c.advance()
		if c.state == StateWaiting && !c.waits() {
			c.queue()
		}
	}
	switch {
	case c.state == StateReady && s.End < exchange.Draining && !c.Half:
	case c.Busy() || c.Gathers() || c.reading() && c.WaitsForAgain() && s.End < exchange.Draining:
	case s.End == exchange.Draining && (c.state == StateReady || c.state == StateWaiting):
		// The server began to stop after it had sent this response, so the response has no "Connection: close".
		c.setState(StateEnding)
		c.Finish()
	case s.End == exchange.Draining && c.skipping():
		c.endSkip()
	case c.state == StateEnding:
		c.Finish()
	case c.Half && c.reading():
		c.Close("the client has shut down its side")
	}
}

var (
	crlf          = []byte("\r\n")
	lastChunk     = []byte("0\r\n\r\n")
	crlfLastChunk = []byte("\r\n0\r\n\r\n")
)

func appendChunk(dst []byte, size int64) []byte {
	if size == 0 {
		return dst
	}
	return http1.AppendChunkHeader(dst, size)
}

// chunkTail returns the bytes that follow a chunk of size bytes. If last is true, these bytes include the end of the
// body with the trailers. The caller must not change the result.
func chunkTail(size int64, last bool, trailers []byte) (tail []byte) {
	switch {
	case last && size > 0:
		tail = crlfLastChunk
	case last:
		tail = lastChunk
	case size > 0:
		tail = crlf
	}
	if last && len(trailers) > 0 {
		tail = slices.Concat(tail[:len(tail)-len(crlf)], trailers, crlf)
	}
	return tail
}
