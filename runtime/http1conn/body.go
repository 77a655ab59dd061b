package http1conn

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// The handler gets a streamed body (Mount.Streams) in pieces of up to maxPiece bytes. Until the body is complete,
// the connection begins no further exchange, even if the response has ended.

type framedBody struct {
	exchange.Body
	http1.BodyReader
	awaited int // last argument of conn.Conn.AwaitInput, or 0
}

// smallBody is the number of bytes of each body that may always stay in memory, even if the client's share of memory is
// used up.
const smallBody = 16 << 10

// beginBody begins to receive the body of x. If Mount.Streams is true, x is submitted at once and gets the body piece
// by piece. Otherwise x is submitted when the body is complete.
func (c *Conn) beginBody(x *exchange.Exchange) {
	s, req := c.s, x.Req.Parsed
	b := &framedBody{BodyReader: http1.BodyReader{IsChunked: req.Body == http1.Chunked, Missing: req.Length}}
	length := req.Length
	if b.IsChunked {
		length = -1
	}
	streams, asks := x.Choice.Streams, x.Choice.Asks
	b.Begin(x, length, req.Expect100 && len(s.rest) == 0, smallBody)
	c.body = b
	c.setState(StateBody)
	s.rest = c.receive(s.rest)
	if streams && c.body == b {
		c.submit(x)
	}
	if c.body == b && !asks {
		c.askForBody()
	}
}

// receive processes the bytes of the body at the front of data and returns the rest of data. receive changes the state
// of c when the body is complete or rejected.
func (c *Conn) receive(data []byte) (rest []byte) {
	b := c.body
	x, submitted := c.active.Last, b.Submitted()
	if submitted {
		data = c.readOn(x, data)
	}
	for read := 0; ; {
		read += len(data)
		c.Stamp = c.s.Set.Now
		piece, rest, whole, err := b.Decode(data)
		if err != nil {
			b.Fail(err)
			c.refuseBody(b)
			return nil
		}
		if whole {
			b.await(c, 1)
			c.body = nil
			c.endBody(!submitted || x.KeepAlive, len(rest) > 0)
		}
		switch b.Arrive(piece, b.Chunks.Left(), whole) {
		case exchange.More:
			if data = c.readMore(b, read); len(data) > 0 {
				continue
			}
		case exchange.Pause:
			c.pauseReading()
		case exchange.Refuse:
			c.refuseBody(b)
			return nil
		case exchange.Whole:
			if !submitted && !b.Unwanted() {
				c.submit(x)
			}
		}
		return rest
	}
}

// readMore reads the next piece of a collected body from the socket, after read bytes in this turn. It returns nothing
// if the body is chunked or the socket is probably empty.
func (c *Conn) readMore(b *framedBody, read int) []byte {
	if b.IsChunked || !b.Collected() {
		return nil
	}
	n := 1
	if read >= leastAwaited { // the client is fast
		n = int(min(b.Missing, maxPiece))
	}
	b.await(c, n)
	if c.Half || read < c.s.Set.ReadSize() || read >= maxTurnBytes {
		return nil
	}
	into := c.pieceOf(b)
	return into[:c.ReadMore(into)]
}

// await makes the kernel report input when n bytes have arrived, because fewer large pieces cost less than many small
// ones. n must not be larger than the rest of the body.
func (b *framedBody) await(c *Conn, n int) {
	if n != max(b.awaited, 1) {
		b.awaited = n
		c.AwaitInput(n)
	}
}

// endBody sets the state of c after the last byte of a body. more means that further input has arrived.
func (c *Conn) endBody(continues, rest bool) {
	if continues {
		c.setState(StateReady)
		return
	}
	c.Linger = c.Linger || rest
	c.setState(StateEnding)
}

// refuseBody answers a request whose body is invalid, or aborts the response if it has begun.
func (c *Conn) refuseBody(b *framedBody) {
	x, r := c.active.Last, b.Refusal()
	if !b.Submitted() {
		c.resumeReading()
		c.body = nil
		b.Drop()
		c.setState(StateReady)
		x.Sink.Reply(r)
		return
	}
	c.cutBody(x, b)
	if !x.Out.Begun {
		x.FailWith(r, nil)
		return
	}
	// reset the connection, because an ordinary close would look like the regular end of the response body
	c.Reset = x.Out.Framing == http1.UntilClose
	c.cancelAll()
	c.Drained(false)
}

// bodyDeadline returns the time of the next check of the body. The time is in the past if the body is too slow.
func (c *Conn) bodyDeadline() int64 {
	s := c.s
	if s.Set.Now-c.Stamp >= int64(bodyLook) { // fewer bytes may have arrived than the kernel reports
		c.body.await(c, 1)
	}
	if c.Stopped() && c.body.Waits() {
		return c.body.WaitsUntil(s.Config.BodyTimeout)
	}
	// the client cannot be late while the server does not read or the client waits for 100 Continue
	if c.Stopped() || c.body.Expects {
		return s.Set.Now + int64(bodyLook)
	}
	if c.body.TooSlow(s.Set.Now, s.Config.BodyTimeout, s.Config.BodyRate) {
		return s.Set.Now
	}
	return min(c.Stamp+int64(s.Config.BodyTimeout), s.Set.Now+int64(bodyLook))
}

func (c *Conn) WantMore(x *exchange.Exchange) {
	if b := c.body; b != nil && b.IsFor(x) {
		if b.Waits() {
			switch b.Continue() {
			case exchange.Pause:
				return
			case exchange.Refuse:
				c.refuseBody(b)
				return
			}
		}
		c.askForBody()
	}
	switch {
	case !c.Stopped() || !x.Outstanding.Low():
	case c.body != nil && c.body.Submitted() && c.body.awaited > 1:
		c.s.Set.Soon(&c.Client.Conn, c.readNow)
	default:
		c.resumeReading()
	}
}

// readNow reads the next piece of a streamed body that arrives fast, in the same turn of the loop in which the handler
// has returned the last piece. If the client is not ahead of the handler, the kernel reports the next bytes at once.
func (c *Conn) readNow() {
	b := c.body
	if b == nil || !b.Submitted() || !c.Stopped() {
		return
	}
	into := c.pieceOf(b)
	n := c.ReadMore(into)
	if n < leastAwaited {
		b.await(c, 1)
		c.resumeReading()
	}
	if n > 0 {
		c.Input(into[:n])
	}
	if c.body == nil || c.active.Last.Outstanding.Low() {
		c.resumeReading()
	}
}

// pieceOf returns memory for the next piece of b.
func (c *Conn) pieceOf(b *framedBody) []byte {
	into := b.Tail()
	if len(into) == 0 {
		into = c.s.buffer()
	}
	return into[:min(b.Missing, int64(len(into)), maxPiece)]
}

// pauseReading stops reading from c until resumeReading is called. The timeout of the body does not run during the
// pause.
func (c *Conn) pauseReading() {
	if c.Stop(conn.PauseForReset) && c.body != nil {
		c.body.Pause(c.s.Set.Now)
	}
}

// resumeReading ends a pause of c, whether pauseReading or keep began the pause.
func (c *Conn) resumeReading() {
	if c.Stopped() && c.body != nil {
		c.body.Resume(c.s.Set.Now)
	}
	c.Continue()
	if c.reading() && len(c.Pending()) > 0 {
		c.queue()
	}
}

func (c *Conn) askForBody() {
	b, s := c.body, c.s
	if !b.Expects {
		return
	}
	b.Asked(s.Set.Now)
	c.Stamp = s.Set.Now
	out := c.Use()
	*out = append(*out, http1.Continue...)
}

const (
	// maxPiece limits the bytes of a body that are read in one piece.
	maxPiece = 256 << 10

	// leastAwaited is the number of bytes that must arrive at once before conn.Conn.AwaitInput delays the next ones.
	leastAwaited = 64 << 10

	// maxTurnBytes limits the bytes of a collected body that are read before other connections get a turn.
	maxTurnBytes = 1 << 20
)

// readOn returns data, which is a piece of the body. If data fills the loop's buffer, readOn appends further bytes of
// the body from the socket, up to maxPiece, because a read costs less than waking a thread again. For a chunked body,
// readOn reads nothing. If further bytes remain in the socket, conn.Conn.Ready reads them.
func (c *Conn) readOn(x *exchange.Exchange, data []byte) []byte {
	b := c.body
	most := int(min(maxPiece-int64(x.Outstanding), b.Missing))
	if b.IsChunked || c.Half || len(data) < c.s.Set.ReadSize() || len(data) >= most {
		return data
	}
	bulk := c.pieceOf(b)
	n := copy(bulk, data)
	n += c.ReadMore(bulk[n:min(most, len(bulk))])
	if n >= leastAwaited && int64(n) < b.Missing { // the connection pauses until the handler has returned the piece
		b.await(c, int(min(b.Missing-int64(n), maxPiece)))
	}
	return bulk[:n]
}

// buffer returns memory for a piece, which is valid until the next call.
func (s *Server) buffer() []byte {
	if s.bulk == nil {
		s.bulk = make([]byte, maxPiece)
	}
	return s.bulk
}

// maxSkip limits the bytes of an unwanted body that are read and discarded to keep the connection open. A client that
// sends the body in a separate packet has usually sent at most this number of bytes when the response begins.
const maxSkip = 64 << 10

// giveUpBody discards the rest of the body of x, because no source needs it.
func (c *Conn) giveUpBody(x *exchange.Exchange) {
	b := c.body
	if b == nil || !b.IsFor(x) {
		return
	}
	if b.IsChunked || b.Expects || b.Missing > maxSkip || !x.KeepAlive || c.s.End >= exchange.Leaving {
		c.cutBody(x, b)
	} else {
		b.await(c, 1)
		b.Drop()
		c.resumeReading()
	}
}

// cutBody makes the connection close after the response to x, because its body b stays incomplete. Until then, the
// connection discards all input.
func (c *Conn) cutBody(x *exchange.Exchange, b *framedBody) {
	b.await(c, 1)
	b.Drop()
	c.body = nil
	x.CloseAfter()
	c.Linger = true
	c.setState(StateEnding)
	c.resumeReading()
}

func (c *Conn) skipping() bool { return c.body != nil && c.body.Unwanted() }

func (c *Conn) endSkip() {
	c.body, c.Linger = nil, true
	c.setState(StateEnding)
	c.Drained(false)
}
