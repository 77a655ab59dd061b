package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/mediatype"
)

var (
	crlf          = []byte("\r\n")
	upgradeFields = []byte("Upgrade: websocket\r\nConnection: Upgrade\r\n")
)

// advance sends what is there for the first exchange of c, and for those
// behind it, until a part is missing or a transfer has to end first.
func (c *httpConn) advance() {
	l := c.l
	c.sendReady()
	if c.deferred > 0 && !c.Writing() {
		l.resumeDeferred(c)
	}
}

func (c *httpConn) sendReady() {
	for c.first != nil && !c.Writing() {
		x := c.first
		switch {
		case len(x.held) > 0:
			p := x.unhold()
			if len(x.held) == 0 {
				x.Source.OnRoom(&x.Exchange)
			}
			x.transmit(&p)
		case x.awaitsTurn:
			x.awaitsTurn = false
			x.Source.Start(&x.Exchange)
		default:
			return
		}
	}
}

// transmit writes a part of x, whose turn it is, and releases it. x may be gone
// afterwards, the connection too.
func (x *Exchange) transmit(p *exchange.Part) {
	l := x.l
	if p.Interim {
		x.sendInterim(p)
		return
	}
	if p.First && p.Head.Tunnel != nil {
		l.openTunnel(x, p)
		return
	}
	c := x.conn
	if x.socket != nil && x.acceptSocket(p) {
		return
	}
	c.Use()
	if p.First {
		x.sendHead(p)
	}
	body, count, cut := x.out.Take(p.Body, fileBytes(p))
	if cut {
		l.logClient(c, x.rules, loglevel.Warning, "a response was longer than its Content-Length and has been cut")
	}
	size := int64(len(body)) + count
	l.conns.Buf = x.out.AppendChunk(l.conns.Buf, size)
	tail := x.out.Tail(size, p.Last && !p.Failed && p.Upgrade == nil)
	if p.Upgrade != nil {
		x.upgrade(p.Upgrade)
	} else if p.Last {
		short := x.out.Short()
		if short > 0 && !p.Failed {
			l.logClient(x.conn, x.rules, loglevel.Warning, "a response was %d bytes shorter than its Content-Length", short)
		}
		x.complete(p.Failed || short > 0)
	}
	if count > 0 {
		x.sendFile(c, p, body, count, tail)
		return
	}
	if len(body) <= copyLimit {
		l.conns.Buf = append(l.conns.Buf, body...)
		l.conns.Buf = append(l.conns.Buf, tail...)
		x.release(p)
		if len(l.conns.Buf) > flushLimit {
			l.conns.Flush()
		}
		return
	}
	x.sendLarge(c, p, body, tail)
}

// takesInterim reports whether the client can be sent responses of 1xx: HTTP/1.0 does not have them, and a
// subrequest has no use for them.
func (x *Exchange) takesInterim() bool {
	return x.conn != nil && x.minor > 0 && x.conn.subrequest == nil
}

// sendInterim writes a response of 1xx, which is not the answer of x.
func (x *Exchange) sendInterim(p *exchange.Part) {
	l := x.l
	x.conn.Use()
	before := len(l.conns.Buf)
	l.conns.Buf = http1.AppendStatusLine(l.conns.Buf, p.Head.Status, p.Head.Reason)
	l.conns.Buf = append(append(l.conns.Buf, p.Head.Fields...), crlf...)
	x.out.Framed += int64(len(l.conns.Buf) - before)
	x.release(p)
}

// sendHead appends the head of a response and decides how its body is framed.
func (x *Exchange) sendHead(p *exchange.Part) {
	l := x.l
	r := x.response()
	fill(&r, &p.Head)
	if r.Length < 0 && p.Last && !p.Failed {
		if size := int64(len(p.Body)) + fileBytes(p); size > 0 || !x.head {
			r.Length = size
		}
	}
	if x.Fields != nil {
		l.heads.Fields = append(append(l.heads.Fields[:0], r.Fields...), x.Fields...)
		r.Fields = l.heads.Fields
	}
	l.conns.Buf = x.appendHead(l.conns.Buf, &r)
}

// fill completes r, which has what is known of the request, with what the
// application said.
func fill(r *http1.Response, h *exchange.Head) {
	r.Status, r.Reason, r.Fields = h.Status, h.Reason, h.Fields
	if r.Status < 100 || r.Status > 999 {
		r.Status, r.Reason = 500, nil
	}
	r.Length, r.Type = h.Length, mediatype.Of(h)
	r.HasDate, r.HasServer = h.HasDate, h.HasServer
	if r.Status == 426 { // RFC 9110 §15.5.22; a handler cannot say it by itself
		r.Fields = append(r.Fields[:len(r.Fields):len(r.Fields)], upgradeFields...)
	}
	// No client takes a 1xx for the end of a response.
	r.KeepAlive = r.KeepAlive && !h.Close && r.Status >= 200
}

func fileBytes(p *exchange.Part) int64 {
	if p.File < 0 {
		return 0
	}
	return p.Count
}

// release gives a part of x back. With the last one x ends.
func (x *Exchange) release(p *exchange.Part) {
	last := p.Last
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		x.end()
	}
}

// end ends an exchange for good.
func (x *Exchange) end() {
	l := x.l
	if l.timed {
		l.account(x)
	}
	x.leaveSocket()
	x.unholdAll()
	l.exchanges.put(x)
}

// complete takes an exchange, whose last bytes are on their way, from its
// connection. broken: not all of the promised bytes, so that the connection
// has to show it. The exchange is put back when its last part is released.
func (x *Exchange) complete(broken bool) {
	l := x.l
	c := x.conn
	c.shift()
	if broken {
		x.keepAlive = false
		c.Reset = x.out.NeedsReset() // its end would look like the body's
	}
	if !x.keepAlive {
		if c.body != nil {
			c.body, c.Linger = nil, true
		}
		c.cancelAll()
		c.setState(stateEnding)
	}
	c.Stamp = l.now()
	if c.state == stateWaiting && !c.waits() {
		c.queue()
	}
}

// queue makes flushBatch go on with the pending input of c.
func (c *httpConn) queue() {
	if !c.Writing() {
		c.Again()
	}
}

// cancelAll ends every exchange of c without a response.
func (c *httpConn) cancelAll() {
	c.undecided = nil
	for c.first != nil {
		x := c.first
		c.shift()
		x.cancel()
	}
}

func (x *Exchange) cancel() {
	x.conn = nil
	x.leaveSocket()
	if x.phase == awaitingPassword {
		x.req.check.Cancel()
	}
	ended := x.dropHeld()
	switch {
	case ended || x.beside: // or it ends with that
	case x.phase < answering:
		x.end()
	default:
		x.Source.OnGone(&x.Exchange)
	}
}
