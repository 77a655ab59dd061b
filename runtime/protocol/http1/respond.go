package http1

import (
	"fmt"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/mediatype"
)

var upgradeFields = []byte("Upgrade: websocket\r\nConnection: Upgrade\r\n")

// advance sends the parts of the first exchange of c, and of those
// behind it, until a part is missing or a transfer has to end first.
func (c *Conn) advance() {
	c.sendReady()
	if c.deferred > 0 && !c.Writing() {
		c.resumeDeferred()
	}
}

func (c *Conn) sendReady() {
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
	s := x.s
	if p.Interim {
		x.sendInterim(p)
		return
	}
	if p.First && (x.MayUpgrade || p.Head.Tunnel != nil) && s.host.Upgrade(x, p) {
		return
	}
	c := x.conn
	c.Use()
	if p.First {
		x.sendHead(p)
	}
	body, count, cut := x.Out.Take(p.Body, fileBytes(p))
	if cut {
		x.Server.Log(loglevel.Warning, "a response was longer than its Content-Length and has been cut")
	}
	size := int64(len(body)) + count
	s.set.Buf = x.Out.AppendChunk(s.set.Buf, size)
	tail := x.Out.Tail(size, p.Last && !p.Failed && p.Upgrade == nil)
	if p.Upgrade != nil {
		x.upgrade(p.Upgrade)
	} else if p.Last {
		short := x.Out.Short()
		if short > 0 && !p.Failed {
			x.Server.Log(loglevel.Warning, fmt.Sprintf("a response was %d bytes shorter than its Content-Length", short))
		}
		x.complete(p.Failed || short > 0)
	}
	if count > 0 {
		x.sendFile(c, p, body, count, tail)
		return
	}
	if len(body) <= conn.CopyLimit {
		s.set.Buf = append(s.set.Buf, body...)
		s.set.Buf = append(s.set.Buf, tail...)
		x.Release(p)
		if len(s.set.Buf) > conn.FlushLimit {
			s.set.Flush()
		}
		return
	}
	x.sendLarge(c, p, body, tail)
}

// upgrade gives the connection of x, whose response is written or gathered, to another protocol. x is released afterwards.
func (x *Exchange) upgrade(to exchange.Upgrade) {
	c := x.conn
	c.shift()
	c.cancelAll()
	c.setState(StateUpgraded)
	to.Begin(x.Server)
}

// takesInterim reports whether the client can be sent responses of 1xx: HTTP/1.0 does not have them, and this
// server as its own client has no use for them.
func (x *Exchange) takesInterim() bool {
	return x.conn != nil && x.minor > 0 && !x.conn.Internal
}

// sendInterim writes a response of 1xx, which is not the answer of x.
func (x *Exchange) sendInterim(p *exchange.Part) {
	s := x.s
	x.conn.Use()
	before := len(s.set.Buf)
	s.set.Buf = http1.AppendStatusLine(s.set.Buf, p.Head.Status, p.Head.Reason)
	s.set.Buf = append(append(s.set.Buf, p.Head.Fields...), crlf...)
	x.Out.Framed += int64(len(s.set.Buf) - before)
	x.Release(p)
}

// sendHead appends the head of a response and decides how its body is framed.
func (x *Exchange) sendHead(p *exchange.Part) {
	s := x.s
	r := http1.Response{Minor: x.minor, Head: x.head, KeepAlive: x.KeepAlive && !(s.leaving && x.next == nil)}
	fill(&r, &p.Head)
	if r.Length < 0 && p.Last && !p.Failed {
		if size := int64(len(p.Body)) + fileBytes(p); size > 0 || !x.head {
			r.Length = size
		}
	}
	if x.Fields != nil {
		s.Heads.Fields = append(append(s.Heads.Fields[:0], r.Fields...), x.Fields...)
		r.Fields = s.Heads.Fields
	}
	s.set.Buf = x.AppendHead(s.set.Buf, &r)
}

// AppendHead appends the head of r, the response to x, to dst, and notes in x how the body is sent. All heads are made here.
func (x *Exchange) AppendHead(dst []byte, r *http1.Response) []byte {
	s, before := x.s, len(dst)
	dst = s.Heads.Append(dst, s.host.Edits(x), r)
	s.host.HeadSent(x, dst[before:])
	x.Out.Begin(r, len(dst)-before)
	x.KeepAlive = x.KeepAlive && r.KeepAlive
	return dst
}

// SwitchProtocols sends r, a response with the status 101, and takes x from its connection, which another protocol has from now on.
func (x *Exchange) SwitchProtocols(r *http1.Response) {
	s, c := x.s, x.conn
	c.Use()
	s.set.Buf = x.AppendHead(s.set.Buf, r)
	c.shift()
}

// fill completes r, in which the fields of the request are set, with those of
// the application's head.
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

// Release gives a part of x back. With the last one x ends.
func (x *Exchange) Release(p *exchange.Part) {
	last := p.Last
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		x.End()
	}
}

// End ends an exchange for good.
func (x *Exchange) End() {
	x.unholdAll()
	x.s.put(x)
}

// complete takes an exchange, whose last bytes are on their way, from its
// connection. broken: not all of the promised bytes, so that the connection
// has to show it. The exchange is put back when its last part is released.
func (x *Exchange) complete(broken bool) {
	c := x.conn
	c.shift()
	if broken {
		x.KeepAlive = false
		c.Reset = x.Out.NeedsReset() // its end would look like the body's
	}
	if !x.KeepAlive {
		if c.body != nil {
			c.body, c.Linger = nil, true
		}
		c.cancelAll()
		c.setState(StateEnding)
	}
	c.Stamp = x.s.now()
	if c.state == StateWaiting && !c.waits() {
		c.queue()
	}
}

// queue makes flushBatch go on with the pending input of c.
func (c *Conn) queue() {
	if !c.Writing() {
		c.Again()
	}
}

// cancelAll ends every exchange of c without a response.
func (c *Conn) cancelAll() {
	c.undecided = false
	for c.first != nil {
		x := c.first
		c.shift()
		x.cancel()
	}
}

// cancel ends x, which its connection has given up, without a response.
func (x *Exchange) cancel() {
	x.conn = nil
	x.s.host.Canceled(x)
	ended := x.dropHeld()
	switch {
	case ended || x.beside: // or it ends with that
	case x.phase < answering:
		x.End()
	default:
		x.Source.OnGone(&x.Exchange)
	}
}

// EndHTTP completes x, after whose response another protocol has the connection. x ends with its last part.
func (x *Exchange) EndHTTP() {
	x.KeepAlive = false
	x.complete(false)
}
