package http1conn

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	// MaxActive limits the active requests of a connection.
	MaxActive = 32

	// MaxAhead limits the responses of a connection that begin before earlier responses are sent. The limit applies
	// only to responses that can grow to any size.
	MaxAhead = 2

	// MaxPending limits the bytes of pipelined requests that a connection keeps. Above this limit the loop does not
	// read from the connection.
	MaxPending = 64 << 10

	// maxTurn limits the requests that a connection begins before other connections get a turn.
	maxTurn = 128
)

// Input handles received bytes. If data is nil, Input continues with the pending input.
func (c *Conn) Input(data []byte) {
	switch c.state {
	case StateBody:
		if data = c.receive(data); c.state != StateReady {
			return
		}
	case StateEnding:
		c.Linger = c.Linger || len(data) > 0
		return
	case StateUpgraded, StateClosed:
		return
	case StateWaiting:
		if c.waits() {
			c.keep(data)
			return
		}
		c.setState(StateReady)
	}
	if len(c.Pending()) == 0 {
		n := c.consume(data)
		if n < len(data) {
			c.keep(data[n:])
		}
	} else {
		c.keep(data)
		c.Consume(c.consume(c.Pending()))
		if !c.reading() {
			c.DropInput()
		}
		if c.Paused() && !c.Stopped() && len(c.Pending()) < MaxPending {
			c.Unpause()
		}
	}
	c.Room(false)
}

func (c *Conn) reading() bool { return c.state <= StateWaiting }

func (c *Conn) keep(data []byte) {
	if !c.reading() {
		return
	}
	c.Keep(data)
	if c.state == StateWaiting && len(c.Pending()) > MaxPending && !c.Paused() {
		c.Pause(conn.PauseForReset)
	}
}

// consume continues a suspended request, handles the requests at the front of buf, and returns the number of used
// bytes.
func (c *Conn) consume(buf []byte) int {
	s := c.s
	s.rest = buf
	goOn := true
	if c.suspended() {
		c.Stamp = s.Set.Now
		c.last.Continue()
		goOn = c.state == StateReady
	}
	for n := 0; goOn && len(s.rest) > 0; n++ {
		if n == maxTurn {
			c.Yield()
			break
		}
		goOn = c.next(s.rest)
	}
	used := len(buf)
	if c.state != StateEnding { // a connection that is ending discards the rest of the input
		used -= len(s.rest)
	}
	s.rest = nil
	return used
}

// next handles one request at the front of buf, which is Server.rest, the input that is not handled yet. It returns
// false if c cannot handle further input now, for the reason in c.state.
func (c *Conn) next(buf []byte) bool {
	s := c.s
	r := s.Request()
	req := r.Parsed
	if c.mustAsk() {
		return false
	}
	if c.state == StateHead {
		req.Resume = c.resume
	}
	n, err := req.Parse(buf, &s.Config.Limits)
	if err == http1.ErrNeedMore {
		c.resume, req.Resume = req.Resume, http1.Resume{}
		if c.state != StateHead {
			c.Stamp = s.Set.Now
			c.setState(StateHead)
		}
		return false
	}
	head := buf[max(n-req.HeadLen, 0):n]
	if err == nil && req.Raw {
		head = req.AppendEncoded(nil, head)
		err = req.ParseWhole(head, &s.Config.Limits) // percent-encoding can make the head too long
	}
	if err != nil {
		s.rest = nil
		c.newErrorExchange(buf).Sink.Reply(s.Malformed(err.(*http1.StatusError), buf))
		return false
	}
	c.Stamp = s.Set.Now
	if c.state != StateReady {
		c.setState(StateReady)
		s.Arrived(&c.Client)
	}
	if (c.first != nil || c.Writing()) && !c.canPipeline(req) {
		c.setState(StateWaiting)
		return false
	}
	r.Head, s.rest = head, buf[n:]
	c.gate = closed
	if s.Config.Current != nil && c.Transport() != nil {
		if s.replaced {
			c.redirect(req, head)
			return false
		}
		// Close after the response, because a different process may have to answer the next request but cannot take
		// over this TLS connection.
		req.KeepAlive = false
	}
	c.newExchange().Decide()
	return c.state == StateReady
}

// canPipeline reports whether req may run in parallel with the active requests. RFC 9112 §9.3.2 permits this if the
// methods of all these requests are safe.
func (c *Conn) canPipeline(req *http1.Request) bool {
	active, unbounded := 0, 0
	for x := c.first; x != nil; x = x.Next {
		active++
		if x.Choice != nil && x.Choice.Unbounded {
			unbounded++
		}
	}
	return req.Safe && !c.Writing() && c.last.Safe && active < MaxActive && unbounded <= MaxAhead && !req.HasBody
}

func (c *Conn) newExchange() *exchange.Exchange {
	x := c.s.New(&c.Client, c)
	if c.first == nil {
		c.first = x
	} else {
		c.last.Next = x
	}
	c.last = x
	return x
}

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
	if b.of = b.X.Account(); s.InputMemory().Room(b.of) < int64(len(piece)) {
		memory = min(memory, smallBody)
	}
	err := b.Store(piece, memory)
	b.count()
	return err
}

// count updates Server.InputMemory, and must be called after each change of the number of bytes that b has in memory.
func (b *framedBody) count() {
	if n := int64(b.InMemory()); n != b.counted {
		b.s.InputMemory().Add(b.of, n-b.counted)
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
	b.Body.Begin(max, now)
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
	// data[from:to] contains the content that was decoded so far, and data[:at] is the decoded input
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
		if enough := x.Feed(piece, whole); enough {
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

func (c *Conn) Read(x *exchange.Exchange) {
	s, r, req := c.s, x.Req, x.Req.Parsed
	size := int64(0)
	switch {
	case !req.HasBody:
	case x.Choice != nil && !x.Admits(req.Length):
		return
	case req.Body == http1.Sized && req.Length <= int64(len(s.rest)):
		size = req.Length
	case x.Choice == nil: // the body is incomplete, and no source needs the rest
		x.KeepAlive, c.Linger = false, true
		c.setState(StateEnding)
		return
	default:
		c.beginBody(x)
		return
	}
	body := s.rest[:size]
	s.rest = s.rest[size:]
	if x.Choice == nil {
		x.Received += size
		return
	}
	r.Body, r.Size = body, size
	c.submit(x)
}

// submit passes x to its source. If x asks for a WebSocket, later input waits for the response, because the input may
// consist of WebSocket frames.
func (c *Conn) submit(x *exchange.Exchange) {
	r := x.Req
	switch {
	case x.Carrier != nil:
		c.setState(StateWaiting)
	case c.body == nil && !x.KeepAlive:
		c.setState(StateEnding)
	}
	r.Pipeline = 0
	if !x.Choice.Unbounded && c.first != c.last {
		r.Pipeline = c.Fd()
	}
	x.Submit()
}

// Wait relies on the fact that an exchange that is still being routed is the last exchange of c.
func (c *Conn) Wait(x *exchange.Exchange) {
	if x.Delayed() {
		c.advance()
		return
	}
	if !x.Suspended() {
		return
	}
	c.setState(StateWaiting)
	if !x.Waits() {
		c.queue()
	}
}

func (c *Conn) suspended() bool { return c.last != nil && c.last.Suspended() }

func (c *Conn) waits() bool {
	if c.suspended() {
		return c.last.Waits()
	}
	return c.Busy() || c.gate == asking
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
