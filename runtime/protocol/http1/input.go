package http1

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

const (
	// MaxActive is how many requests of one connection may be active.
	MaxActive = 32

	// MaxAhead bounds how many answers may be made before their turn without a bound
	// on their size.
	MaxAhead = 2

	// MaxPending bounds the bytes that are kept of what a client sends ahead
	// of the responses; beyond it the connection is not read from.
	MaxPending = 64 << 10
)

// Input implements conn.Protocol.
func (c *Conn) Input(data []byte) {
	c.received(data)
	c.s.Host.Delivered()
}

// received takes new input, or nil to go on with the pending input.
func (c *Conn) received(data []byte) {
	switch c.state {
	case StateBody:
		switch {
		case c.skipping():
			data = c.skipRest(data)
		case c.body.Streamed:
			data = c.feed(c.readOn(data))
		default:
			data = c.collect(data)
		}
		if c.state != StateReady {
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
	c.settle()
}

// reading reports whether more requests are wanted from c.
func (c *Conn) reading() bool { return c.state <= StateWaiting }

// keep stores input that cannot be used now.
func (c *Conn) keep(data []byte) {
	if !c.reading() {
		return
	}
	c.Keep(data)
	if c.state == StateWaiting && len(c.Pending()) > MaxPending && !c.Paused() {
		c.Pause(conn.HeedReset)
	}
}

// consume goes through the requests at the front of buf, behind one that has waited, and returns how many
// bytes it used.
func (c *Conn) consume(buf []byte) (n int) {
	s := c.s
	if c.undecided {
		c.undecided = false
		c.Stamp = s.Now()
		s.rest = buf
		c.last.GoOn()
		if n = len(buf) - c.leftOver(); c.state != StateReady {
			return n
		}
	}
	for n < len(buf) {
		used, again := c.next(buf[n:])
		n += used
		if !again {
			break
		}
	}
	return n
}

// next takes one request from the front of buf. again is false when there is
// no use in going on now: c.state says why.
func (c *Conn) next(buf []byte) (used int, again bool) {
	s := c.s
	r := s.Host.Request()
	req := r.Parsed
	if c.state == StateHead {
		req.Resume = c.resume
	}
	n, err := req.Parse(buf, s.Config.Limits)
	if err != nil {
		if err == http1.ErrNeedMore {
			c.resume, req.Resume = req.Resume, http1.Resume{}
			if c.state != StateHead {
				c.Stamp = s.Now()
				c.setState(StateHead)
			}
			return 0, false
		}
		c.malformed(buf, err)
		return len(buf), false
	}
	c.Stamp = s.Now()
	if c.state != StateReady {
		c.setState(StateReady)
		s.Host.Arrived(&c.Conn)
	}
	if !c.canPipeline(req) {
		c.setState(StateWaiting)
		return 0, false
	}
	r.Head = buf[n-req.HeadLen : n]
	x := c.NewExchange(r)
	s.rest = buf[n:]
	s.Host.Decide(x)
	return len(buf) - c.leftOver(), c.state == StateReady
}

// leftOver returns how many bytes of rest the last exchange of c, which has begun, has left over. A connection that ends leaves none.
func (c *Conn) leftOver() (n int) {
	s := c.s
	if c.state != StateEnding {
		n = len(s.rest)
	}
	s.rest = nil
	return n
}

// canPipeline reports whether a request may be worked on while those before
// it are: RFC 9112 §9.3.2 allows that if all of them are safe.
func (c *Conn) canPipeline(req *http1.Request) bool {
	if !c.Busy() {
		return true
	}
	return req.Safe && !c.Writing() && c.last.Safe && c.active < MaxActive && c.bulky <= MaxAhead && !hasBody(req)
}

func hasBody(req *http1.Request) bool { return req.Body == http1.Chunked || req.Length > 0 }

// NewExchange puts an exchange for r, of which there is the head, behind those of c, which is attached.
func (c *Conn) NewExchange(r *exchange.Request) *http.Exchange {
	x := c.s.New(c)
	x.Begin(r)
	c.append(x)
	return x
}

// Body is the body of a request that is arriving, decoded from its framing.
type Body struct {
	http.Body
	chunked bool
	chunks  http1.ChunkedReader
	missing int64 // bytes, if not chunked
}

// Begin makes b the body of a request, which may have up to max bytes (below 0: any number) and begins at the time now.
func (b *Body) Begin(r *http1.Request, max, now int64) {
	*b = Body{chunked: r.Body == http1.Chunked, missing: r.Length}
	b.Body.Begin(max, now)
}

// Chunked reports whether the length of b is not known before its end.
func (b *Body) Chunked() bool { return b.chunked }

// Missing returns how many bytes are missing. It is 0 if b is chunked.
func (b *Body) Missing() int64 { return b.missing }

// Decode takes what belongs to b from the front of data and returns the content, which is part of data: the pieces of a chunked
// body are moved together. rest is what follows when b is whole. The error is http.ErrTooLarge or a *http1.StatusError.
func (b *Body) Decode(data []byte) (piece, rest []byte, whole bool, err error) {
	if !b.chunked {
		k := min(b.missing, int64(len(data)))
		b.missing -= k
		return data[:k], data[k:], b.missing == 0, b.Count(int(k), 0)
	}
	from, to, at := 0, 0, 0 // the piece is data[from:to], data[:at] has been taken
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
