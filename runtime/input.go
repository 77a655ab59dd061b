package runtime

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	// maxActive is how many requests of one connection may be active.
	maxActive = 32

	// maxAhead bounds how many answers may be made before their turn without a bound
	// on their size.
	maxAhead = 2

	// maxPending bounds the bytes that are kept of what a client sends ahead
	// of the responses; beyond it the connection is not read from.
	maxPending = 64 << 10

	// takenMost is how many requests are worth taking before they are passed on: more
	// of them push each other out of the processor's cache, and out of the queue.
	takenMost = 256
)

// Input implements conn.Protocol.
func (c *httpConn) Input(data []byte) {
	l := c.l
	c.received(data)
	if l.app.Taken() >= takenMost {
		l.flushBatch()
	}
}

// received takes what has arrived, or nil to go on with what is pending.
func (c *httpConn) received(data []byte) {
	switch c.state {
	case stateBody:
		switch {
		case c.skipping():
			data = c.skipRest(data)
		case c.body.streamed:
			data = c.feed(c.readOn(data))
		default:
			data = c.collect(data)
		}
		if c.state != stateReady {
			return
		}
	case stateEnding:
		c.Linger = c.Linger || len(data) > 0
		return
	case stateUpgraded, stateClosed:
		return
	case stateWaiting:
		if c.waits() {
			c.keep(data)
			return
		}
		c.setState(stateReady)
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
		if c.Paused() && !c.stopped && len(c.Pending()) < maxPending {
			c.Unpause()
		}
	}
	c.settle()
}

// reading reports whether more requests are wanted from c.
func (c *httpConn) reading() bool { return c.state <= stateWaiting }

// keep stores input that cannot be used now.
func (c *httpConn) keep(data []byte) {
	if !c.reading() {
		return
	}
	c.Keep(data)
	if c.state == stateWaiting && len(c.Pending()) > maxPending && !c.Paused() {
		c.Pause(conn.HeedReset)
	}
}

// consume goes through the requests at the front of buf, behind one that has waited, and returns how many
// bytes it used.
func (c *httpConn) consume(buf []byte) (n int) {
	l := c.l
	if x := c.undecided; x != nil {
		c.undecided, x.phase = nil, deciding
		l.rest = buf
		l.host.Resume(x)
		if n = len(buf) - l.leftOver(c); c.state != stateReady {
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
func (c *httpConn) next(buf []byte) (used int, again bool) {
	l := c.l
	r := l.host.Request()
	req := r.Parsed
	if c.state == stateHead {
		req.Resume = c.resume
	}
	n, err := req.Parse(buf, l.limits)
	if err != nil {
		if err == http1.ErrNeedMore {
			c.resume, req.Resume = req.Resume, http1.Resume{}
			if c.state != stateHead {
				c.Stamp = l.now()
				c.setState(stateHead)
			}
			return 0, false
		}
		c.malformed(buf, err)
		return len(buf), false
	}
	c.Stamp = l.now()
	if c.state != stateReady {
		c.setState(stateReady)
		l.arrived(c)
	}
	if !c.canPipeline(req) {
		c.setState(stateWaiting)
		return 0, false
	}
	r.Head = buf[n-req.HeadLen : n]
	x := c.newExchange(r)
	l.rest = buf[n:]
	l.host.Decide(x)
	return len(buf) - l.leftOver(c), c.state == stateReady
}

// leftOver returns how many bytes of rest an exchange of c, which has begun, has left over. A connection that ends leaves none.
func (s *httpServer) leftOver(c *httpConn) (n int) {
	if c.state != stateEnding {
		n = len(s.rest)
	}
	s.rest = nil
	return n
}

// canPipeline reports whether a request may be worked on while those before
// it are: RFC 9112 §9.3.2 allows that if all of them are safe.
func (c *httpConn) canPipeline(req *http1.Request) bool {
	if !c.busy() {
		return true
	}
	return req.Safe && !c.Writing() && c.last.safe && c.active < maxActive && c.bulky <= maxAhead && !hasBody(req)
}

func hasBody(req *http1.Request) bool { return req.Body == http1.Chunked || req.Length > 0 }

// newExchange puts an exchange for a request, of which there is the head, behind those of c.
func (c *httpConn) newExchange(r *exchange.Request) *Exchange {
	x := c.l.exchanges.get()
	x.Req = r
	x.minor = r.Parsed.Minor
	x.head = r.Parsed.Head
	x.keepAlive = r.Parsed.KeepAlive
	x.safe = r.Parsed.Safe
	x.received = int64(len(r.Head))
	c.append(x)
	return x
}
