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
	if l.taken >= takenMost {
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
	case stateJoining:
		c.settle()
		return
	case stateClosed:
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

// submit hands x over, as the request r, to what answers its mount.
func (l *loop) submit(x *Exchange, r *exchange.Request) {
	c, m := x.conn, x.req.mount
	x.phase = answering
	if x.peer == nil {
		x.peer = c.Client()
	}
	r.Peer = x.peer
	if x.rules != nil {
		r.ErrorLog = x.rules.number
	}
	if c.subrequest != nil {
		r.Depth, r.Value = c.subrequest.depth, c.subrequest.value
	}
	// That of a chunked body is without its framing; of one that is streamed the rest is added as it comes.
	if x.received += r.Size; r.More {
		x.received += int64(len(r.Body)) - r.Size
	}
	x.detached = r.Socket != 0
	if c.body == nil && !x.keepAlive && !r.WebSocket {
		c.setState(stateEnding)
	}
	caches := m.Cache != nil && l.pages.store != nil && !r.WebSocket
	r.Pipeline = 0
	if caches || l.pacer == nil || m.Handler != Handler(l.pacer) {
		x.bulky = true
		c.bulky++
	} else if c.active > 1 {
		r.Pipeline = c.Fd()
	}
	if caches {
		x.Source = &l.pages
		x.Source.Start(&x.Exchange)
	} else {
		l.hand(x)
	}
}

// hand gives x to the handler of its mount.
func (l *loop) hand(x *Exchange) {
	r, m := &x.req.handed, x.req.mount
	x.Source, x.handler = m.Source, m.Handler
	if !l.give(x, r) {
		x.unwanted()
		if s := x.socket; s != nil && s.HasConn() {
			x.conn.shift()
			x.end()
			s.NotResumed()
			return
		}
		x.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
	} else if m.Occupies != OccupiesNothing && l.cfg.Concurrency > 0 {
		l.occupies(x, m.Occupies)
	}
}

// give submits a request to the handler of x, which has no other from then on; false: it takes no more.
func (l *loop) give(x *Exchange, r *exchange.Request) bool {
	r.Ticket = x.ticket
	if l.debug >= 2 {
		l.tracef("exchange %d goes to the application, from %s", x.ticket, x.conn)
	}
	r.Held = l.conns.Unsent.AnyOver() && r.Resumed == nil && l.mustWait(x) && x.pacer() != nil
	if !x.handler.Submit(r) {
		return false
	}
	x.req, x.Req, x.By = nil, nil, "application"
	if r.Held {
		l.countHeldBack(x)
		x.defers()
		return true
	}
	x.since, x.owed = l.now(), true
	l.submitted = true
	l.taken++
	return true
}

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
