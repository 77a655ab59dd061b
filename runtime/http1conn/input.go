package http1conn

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	// maxActive limits the active requests of a connection.
	maxActive = 32

	// maxAhead limits the responses of a connection that begin before earlier responses are sent. The limit applies
	// only to responses that can grow to any size.
	maxAhead = 2

	// maxPending limits the bytes of pipelined requests that a connection keeps. Above this limit the loop does not
	// read from the connection.
	maxPending = 64 << 10

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
	case StateTakenOver, StateClosed:
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
		if c.Paused() && !c.Stopped() && len(c.Pending()) < maxPending {
			c.Unpause()
		}
	}
	c.Drained(false)
}

func (c *Conn) reading() bool { return c.state <= StateWaiting }

func (c *Conn) keep(data []byte) {
	if !c.reading() {
		return
	}
	c.Keep(data)
	if c.state == StateWaiting && len(c.Pending()) > maxPending && !c.Paused() {
		c.Pause(conn.PauseForReset)
	}
}

// consume continues a suspended request, handles the requests at the front of buf, and returns the number of used
// bytes.
func (c *Conn) consume(buf []byte) int {
	s := c.s
	s.rest = buf
	goOn := true
	if x := c.active.Last; x != nil && x.Suspended() {
		c.Stamp = s.Set.Now
		x.Continue()
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
		c.newErrorExchange(buf).Sink.Reply(exchange.Malformed(&s.Config.Limits, err.(*http1.StatusError), buf))
		return false
	}
	c.Stamp = s.Set.Now
	if c.state != StateReady {
		c.setState(StateReady)
		s.Arrived(&c.Client)
	}
	if (c.active.First != nil || c.Writing()) && !c.canPipeline(req) {
		c.setState(StateWaiting)
		return false
	}
	r.Head, s.rest = head, buf[n:]
	x := c.s.New(&c.Client, c)
	c.active.Add(x)
	x.Decide()
	return c.state == StateReady
}

// canPipeline reports whether req may run in parallel with the active requests. RFC 9112 §9.3.2 permits this if the
// methods of all these requests are safe.
func (c *Conn) canPipeline(req *http1.Request) bool {
	active, unbounded := 0, 0
	for x := c.active.First; x != nil; x = x.Next {
		active++
		if x.Choice != nil && x.Choice.Unbounded {
			unbounded++
		}
	}
	return req.Safe && !c.Writing() && c.active.Last.Safe && active < maxActive && unbounded <= maxAhead && !req.HasBody
}

func (c *Conn) Read(x *exchange.Exchange) {
	s, r, req := c.s, x.Req, x.Req.Parsed
	size := int64(0)
	switch {
	case !req.HasBody:
	case x.Choice != nil && !x.Admits(req.Length):
		return
	case req.Body == http1.Sized && req.Length <= int64(len(s.rest)):
		if size = req.Length; x.Choice == nil {
			x.CountInput(size)
		}
	case x.Choice == nil: // the body is incomplete, and no source needs the rest
		x.CloseAfter()
		c.Linger = true
		c.setState(StateEnding)
		return
	default:
		c.beginBody(x)
		return
	}
	body := s.rest[:size]
	s.rest = s.rest[size:]
	if x.Choice != nil {
		r.Body, r.Size = body, size
		c.submit(x)
	}
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
	if !x.Choice.Unbounded && c.active.First != c.active.Last {
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

func (c *Conn) waits() bool {
	if x := c.active.Last; x != nil && x.Suspended() {
		return x.Waits()
	}
	return c.Busy()
}
