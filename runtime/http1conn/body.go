package http1conn

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// The handler gets a streamed body (Mount.Streams) in pieces as large as the read buffer. Until the body is complete,
// the connection begins no further exchange, even if the response has ended.

type framedBody struct {
	exchange.Body
	chunked bool
	chunks  http1.ChunkedReader
	// number of bytes that must still arrive, if the body is not chunked
	missing int64

	s       *Server
	counted int64 // number of bytes that are counted in Server.InputMemory
	of      string
}

// smallBody is the number of bytes of each body that may always stay in memory, even if the client's share of memory is
// used up.
const smallBody = 16 << 10

// store keeps a piece of a collected body in memory or, if the client has used its share of memory, in a file.
func (b *framedBody) store(piece []byte) error {
	s := b.s
	memory := s.Config.SpoolSize
	if b.of = b.X.Account(); s.InputMemory.Room(b.of) < int64(len(piece)) {
		memory = min(memory, smallBody)
	}
	err := b.Store(piece, memory)
	b.count()
	return err
}

// count updates Server.InputMemory, and must be called after each change of the number of bytes that b has in memory.
func (b *framedBody) count() {
	if n := int64(b.InMemory()); n != b.counted {
		b.s.InputMemory.Add(b.of, n-b.counted)
		b.counted = n
	}
}

// Drop and End call the methods of exchange.Body with the same names, and also update Server.InputMemory.
func (b *framedBody) Drop() {
	b.Body.Drop()
	b.count()
}

func (b *framedBody) End() {
	b.Body.End()
	b.count()
}

// Begin makes b the body of the request r. max is its maximum size in bytes; negative means no limit.
func (b *framedBody) Begin(s *Server, r *http1.Request, max, now int64) {
	*b = framedBody{s: s, chunked: r.Body == http1.Chunked, missing: r.Length}
	length := r.Length
	if b.chunked {
		length = -1
	}
	b.Body.Begin(max, length, now)
}

// Decode decodes the bytes of b at the front of data. piece is the content, a slice of data in which Decode has joined
// the chunks. If the body is complete, whole is true and rest is the input after the body. The error is errTooLarge or
// a *http1.StatusError.
func (b *framedBody) Decode(data []byte) (piece, rest []byte, whole bool, err error) {
	if !b.chunked {
		k := min(b.missing, int64(len(data)))
		b.missing -= k
		return data[:k], data[k:], b.missing == 0, b.Count(int(k), 0)
	}
	// data[:at] is the input that is decoded already, and data[from:to] is its content
	from, to, at := 0, 0, 0
	for {
		next, n, err := b.chunks.Next(data[at:])
		at += n
		if err != nil && err != http1.ErrNeedMore {
			return nil, nil, false, err
		}
		if err := b.Count(len(next), b.chunks.Left()); err != nil {
			return nil, nil, false, err
		}
		if from == to {
			from, to = at-len(next), at
		} else {
			to += copy(data[to:], next)
		}
		if err != nil || b.chunks.Done() {
			return data[from:to], data[at:], err == nil, nil
		}
	}
}

// beginBody begins to receive the body of x. If Mount.Streams is true, x is submitted at once and gets the body piece
// by piece. Otherwise x is submitted when the body is complete.
func (c *Conn) beginBody(x *exchange.Exchange) {
	s, r, req := c.s, x.Req, x.Req.Parsed
	b, streams, asks := new(framedBody), x.Choice.Streams, x.Choice.Asks
	b.Begin(s, req, x.MaxBody, s.Set.Now)
	b.Expects = req.Expect100 && len(s.rest) == 0
	if streams {
		piece, left, whole, err := b.Decode(s.rest)
		if err != nil {
			x.Refuse(b.Refused(s.Server, err))
			return
		}
		r.Body, r.Size, r.More = piece, b.Size(), !whole
		s.rest = left
		if whole {
			c.submit(x)
			return
		}
		b.Stream(x)
		if r.Size = req.Length; b.chunked {
			r.Size = -1
		}
	} else {
		b.Collect(x)
	}
	c.body, c.Stamp = b, s.Set.Now
	c.setState(StateBody)
	if streams {
		c.submit(x)
	} else {
		s.rest = c.receive(s.rest)
	}
	if c.body == b && !asks {
		c.askForBody()
	}
}

// receive processes the bytes of the body at the front of data and returns the rest of data. receive changes the state
// of c when the body is complete or rejected.
func (c *Conn) receive(data []byte) (rest []byte) {
	s, b := c.s, c.body
	x := b.X
	if x != nil && b.Streamed {
		data = c.readOn(data)
	}
	c.Stamp = s.Set.Now
	piece, rest, whole, err := b.Decode(data)
	if err == nil && x != nil && !b.Streamed {
		err = b.store(piece)
	}
	if err != nil {
		c.refuseBody(b.Refused(s.Server, err))
		return nil
	}
	switch {
	case !whole:
	case x == nil || x.KeepAlive || !b.Streamed:
		c.body = nil
		c.setState(StateReady)
	default:
		c.body = nil
		c.Linger = c.Linger || len(rest) > 0
		c.setState(StateEnding)
	}
	switch {
	case x == nil:
	case b.Streamed && (whole || len(piece) > 0):
		b.Expects = false
		if whole {
			b.Arrived()
		}
		if enough := b.Feed(piece, whole); enough {
			c.pauseReading()
		}
	case b.Streamed:
	case whole:
		b.End()
		c.submit(x)
	case b.Waits():
		c.pauseReading()
	}
	return rest
}

// refuseBody answers a request whose body is invalid, or aborts the response if it has begun.
func (c *Conn) refuseBody(r exchange.Reply) {
	b := c.body
	x := b.X
	if !b.Streamed {
		c.resumeReading()
		c.body = nil
		b.Drop()
		c.setState(StateReady)
		x.Sink.Reply(r)
		return
	}
	c.cutBody(x)
	if !x.Out.Begun {
		x.FailWith(r, nil)
		return
	}
	// reset the connection, because an ordinary close would look like the regular end of the response body
	c.Reset = x.Out.Framing == http1.UntilClose
	c.cancelAll()
	c.Room(false)
}

// bodyDeadline returns the time of the next check of the body. The time is in the past if the body is too slow.
func (c *Conn) bodyDeadline() int64 {
	s := c.s
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
	if b := c.body; b != nil && b.X == x {
		if b.Waits() {
			err := b.Spill()
			if b.count(); err != nil {
				c.refuseBody(b.Refused(c.s.Server, err))
				return
			}
			if b.Waits() {
				return
			}
		}
		c.askForBody()
	}
	if c.Stopped() && x.Outstanding.Low() {
		c.resumeReading()
	}
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
	x.CloseAfter()
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
