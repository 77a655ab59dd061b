package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	// maxFlights is how many requests of one connection may be in flight.
	maxFlights = 32

	// maxPending bounds the bytes that are kept of what a client sends ahead
	// of the responses; beyond it the connection is not read from.
	maxPending = 64 << 10

	// smallBuffer is the capacity of an input buffer that is worth keeping.
	smallBuffer = 4 << 10
)

// received takes what has arrived, or nil to go on with what is pending.
func (l *loop) received(c *conn, data []byte) {
	if c.front != nil && c.front.awaits {
		var ok bool
		if data, ok = l.announced(c, data); !ok {
			return
		}
	}
	switch c.state {
	case stateBody:
		data = l.collect(c, data)
		if c.state != stateReady {
			return
		}
	case stateLinger:
		c.stamp = l.now
		return
	case stateEnding:
		c.linger = c.linger || len(data) > 0
		return
	case stateClosed:
		return
	case stateWaiting:
		if c.busy() {
			l.keep(c, data)
			return
		}
		l.setState(c, stateReady)
	}
	if len(c.in) == 0 {
		n := l.consume(c, data)
		if n < len(data) {
			l.keep(c, data[n:])
		}
	} else {
		l.keep(c, data)
		c.off += l.consume(c, c.pending())
		if c.off >= len(c.in) || !c.reading() {
			l.dropInput(c)
		}
		if c.paused && len(c.pending()) < maxPending {
			l.unpause(c)
		}
	}
	l.settle(c)
}

// reading says whether more requests are wanted from c.
func (c *conn) reading() bool { return c.state <= stateWaiting }

// keep stores input that cannot be used now.
func (l *loop) keep(c *conn, data []byte) {
	if len(data) == 0 || !c.reading() {
		return
	}
	if c.off > 0 { // make room at the front first
		c.in = c.in[:copy(c.in, c.pending())]
		c.off = 0
	}
	if c.in == nil {
		c.in = l.takeBuffer()
	}
	c.in = append(c.in, data...)
	if c.state == stateWaiting && len(c.in) > maxPending && !c.paused && !l.pause(c) {
		l.s.logf(LevelWarning, "%s sent more than %d bytes ahead of its responses", c, maxPending)
		l.close(c, "too much pipelined")
	}
}

// consume goes through the requests at the front of buf and returns how many
// bytes it used.
func (l *loop) consume(c *conn, buf []byte) (n int) {
	for n < len(buf) {
		used, again := l.next(c, buf[n:])
		n += used
		if !again {
			break
		}
	}
	return n
}

// next takes one request from the front of buf. again is false when there is
// no use in going on now: c.state says why.
func (l *loop) next(c *conn, buf []byte) (used int, again bool) {
	if c.state == stateHead {
		l.req.Resume = c.resume
	}
	n, err := l.req.Parse(buf, &l.cfg.Limits)
	if err != nil {
		if err == http1.ErrNeedMore {
			c.resume, l.req.Resume = l.req.Resume, http1.Resume{}
			if c.state != stateHead {
				c.stamp = l.now
				l.setState(c, stateHead)
			}
			return 0, false
		}
		l.malformed(c, err)
		return len(buf), false
	}
	c.stamp = l.now
	if c.state != stateReady {
		l.setState(c, stateReady)
	}
	if !l.mayGo(c) {
		l.setState(c, stateWaiting)
		return 0, false
	}
	head := buf[n-l.req.HeadLen : n]
	return l.dispatch(c, head, buf[n:], n)
}

// mayGo says whether the request in l.req may be worked on while those before
// it are: RFC 9112 §9.3.2 allows that if all of them are safe.
func (l *loop) mayGo(c *conn) bool {
	if !c.busy() {
		return true
	}
	return l.req.Safe && c.transfer == nil && c.last.safe && c.flights < maxFlights && !l.hasBody()
}

func (l *loop) hasBody() bool { return l.req.Body == http1.Chunked || l.req.Length > 0 }

// dispatch routes the request in l.req. rest is what follows the head; used
// is the head's length with what was skipped before it.
func (l *loop) dispatch(c *conn, head, rest []byte, used int) (int, bool) {
	if l.notice != nil {
		if used, again, done := l.noticed(c, head, rest, used); done {
			return used, again
		}
	}
	path := l.req.Path.In(head)
	if l.req.Encoded {
		l.path = http1.DecodePath(l.path[:0], path)
		path = l.path
	}
	inner, root := path, 0
	if c.front != nil {
		path, root = l.outward(c, head, path)
		inner = inside(path, root)
	}
	if len(inner) == 1 && inner[0] == '*' {
		return l.refuse(c, head, rest, used, refusal{status: 204, fields: allowAll})
	}
	mount, script := route(l.table, inner)
	script += root
	if mount < 0 {
		return l.refuse(c, head, rest, used, refusal{status: 404})
	}
	if l.table[mount].Static != nil {
		return l.serveStatic(c, mount, script, path, head, rest, used)
	}
	var body []byte
	if l.hasBody() {
		if l.req.Body == http1.Chunked || l.req.Length > int64(len(rest)) {
			return l.begin(c, mount, script, head, rest, used)
		}
		if l.tooBig(l.req.Length) {
			return l.refuse(c, head, rest, used, bodyTooBig)
		}
		body = rest[:l.req.Length]
		used += len(body)
	}
	l.request = exchange.Request{
		Mount:  mount,
		Head:   head,
		Path:   path,
		Root:   root,
		Script: script,
		Body:   body,
		Spool:  -1,
		Size:   int64(len(body)),
	}
	l.submit(c)
	return used, c.state == stateReady
}

// submit hands l.request over; l.req is its parsed head.
func (l *loop) submit(c *conn) {
	x, keepAlive := l.newFlight(c, l.request.Head), l.req.KeepAlive
	l.request.Ticket = x.ticket
	l.request.Parsed = &l.req
	l.request.Peer = c.client()
	if l.debug >= 2 {
		l.tracef("%s exchange %d goes to the application", c, x.ticket)
	}
	if l.handler.Submit(&l.request) {
		x.since, x.owed = l.now, true
		l.submitted = true
		l.gather.taken++
	} else {
		l.answerLocally(x, refusal{status: 503, fields: retryAfter})
	}
	if !keepAlive {
		l.setState(c, stateEnding)
	}
}

// newFlight puts an exchange for the request in l.req behind those of c.
func (l *loop) newFlight(c *conn, head []byte) *flight {
	x := l.flights.get()
	if l.served++; l.served == l.worn && l.cfg.Worn != nil {
		go l.cfg.Worn()
	}
	x.minor = l.req.Minor
	x.head = l.req.Head
	x.keepAlive = l.req.KeepAlive
	x.safe = l.req.Safe
	if c.front != nil && c.front.hidden {
		x.prefix = c.front.root
	}
	c.append(x)
	if l.timed {
		l.note(x, head)
	}
	return x
}

func (l *loop) tooBig(size int64) bool {
	return size > l.cfg.MaxBodySize && l.cfg.MaxBodySize >= 0
}

// takeBuffer returns an empty buffer for input.
func (l *loop) takeBuffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b
	}
	return make([]byte, 0, smallBuffer)
}

// dropInput gives the input buffer of c back.
func (l *loop) dropInput(c *conn) {
	if cap(c.in) == smallBuffer && len(l.buffers) < cap(l.buffers) {
		l.buffers = append(l.buffers, c.in[:0])
	}
	c.in, c.off = nil, 0
}
