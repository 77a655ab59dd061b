package http1

import (
	"fmt"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
)

// InTurn implements http.Carrier.
func (c *Conn) InTurn(x *http.Exchange) bool { return c.first == x && !c.Writing() }

// WaitsForClient implements http.Carrier. An application with a descriptor of its own (Detached) may wait for the client at any time.
func (c *Conn) WaitsForClient(x *http.Exchange) bool {
	return x.Detached || x.Out.Begun && c.Writing() || c.body != nil && !c.Stopped()
}

// TakesInterim implements http.Carrier: HTTP/1.0 does not have responses of 1xx, and this server as its own client has no use for them.
func (c *Conn) TakesInterim(x *http.Exchange) bool { return x.Version > http1.HTTP10 && !c.internal }

// Advance implements http.Carrier: it sends the parts of the first exchange of c, and of those behind it, until a part is missing or a
// transfer has to end first.
func (c *Conn) Advance() {
	for c.first != nil && !c.Writing() && c.first.Advance() {
	}
	if c.deferred > 0 {
		c.resumeDeferred()
	}
}

// Ending implements http.Carrier.
func (c *Conn) Ending(x *http.Exchange, p *exchange.Part) (ended bool) {
	if x.Detached && c.reattachSocket(x, p) {
		return true
	}
	c.GiveUpBody(x)
	return false
}

// Transmit implements http.Carrier. x may be gone afterwards, the connection too.
func (c *Conn) Transmit(x *http.Exchange, p *exchange.Part) {
	s := c.s
	if p.Interim {
		c.sendInterim(x, p)
		return
	}
	if p.First && (x.MayUpgrade || p.Head.Tunnel != nil) && s.Host.Upgrade(x, p) {
		return
	}
	c.Use()
	if p.First {
		s.Set.Buf = x.AppendHeadOf(s.Set.Buf, p, x.KeepAlive && !(s.Closes() && x.Next == nil))
	}
	body, count, cut := x.Out.Take(p.Body, http.FileBytes(p))
	if cut {
		x.Server.Log(logfile.Warning, "truncated a response that exceeds its Content-Length")
	}
	size := int64(len(body)) + count
	s.Set.Buf = appendChunk(s.Set.Buf, &x.Out, size)
	tail := chunkTail(&x.Out, size, p.Last && !p.Failed && p.Upgrade == nil, x.Trailers(p))
	if p.Upgrade != nil {
		c.upgrade(x, p.Upgrade)
	} else if p.Last {
		short := x.Out.Short()
		if short > 0 && !p.Failed {
			x.Server.Log(logfile.Warning, fmt.Sprintf("a response was %d bytes shorter than its Content-Length", short))
		}
		c.complete(x, p.Failed || short > 0)
	}
	if count > 0 {
		c.sendFile(x, p, body, count, tail)
		return
	}
	if len(body) <= conn.CopyLimit {
		s.Set.Buf = append(s.Set.Buf, body...)
		s.Set.Buf = append(s.Set.Buf, tail...)
		x.Release(p)
		if len(s.Set.Buf) > conn.FlushLimit {
			s.Set.Flush()
		}
		return
	}
	c.sendLarge(x, p, body, tail)
}

// upgrade gives the connection of x, whose response is written or gathered, to another protocol. x is released afterwards.
func (c *Conn) upgrade(x *http.Exchange, to exchange.Upgrade) {
	c.shift()
	c.cancelAll()
	c.setState(StateUpgraded)
	to.Begin(x.Server)
}

// sendInterim writes a response of 1xx, which is not the answer of x.
func (c *Conn) sendInterim(x *http.Exchange, p *exchange.Part) {
	s := c.s
	c.Use()
	before := len(s.Set.Buf)
	s.Set.Buf = http1.AppendStatusLine(s.Set.Buf, p.Head.Status, p.Head.Reason)
	s.Set.Buf = append(append(s.Set.Buf, p.Head.Fields...), crlf...)
	x.Out.Framed += int64(len(s.Set.Buf) - before)
	x.Release(p)
}

// SwitchProtocols implements http.Carrier. What has come behind the request is kept for the other protocol.
func (c *Conn) SwitchProtocols(x *http.Exchange, r *http1.Response) (on *conn.Conn, head []byte) {
	head = x.AppendHead(nil, r)
	c.shift()
	return &c.Conn, head
}

// TakeConn implements http.Carrier.
func (c *Conn) TakeConn(*http.Exchange) *conn.Conn { return &c.Conn }

// complete takes an exchange, whose last bytes are on their way, from its
// connection. broken: not all of the promised bytes, so that the connection
// has to show it. The exchange ends when its last part is released.
func (c *Conn) complete(x *http.Exchange, broken bool) {
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
	c.Stamp = c.s.Now()
	if c.state == StateWaiting && !c.waits() {
		c.queue()
	}
}

// EndHTTP completes x, after whose response another protocol has the connection. x ends with its last part.
func (c *Conn) EndHTTP(x *http.Exchange) {
	x.KeepAlive = false
	c.complete(x, false)
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
		x.Abandon()
	}
}

// malformed answers bytes that are no request.
func (c *Conn) malformed(buf []byte, err error) {
	r := exchange.Reply{Status: 400, Close: true}
	if e, ok := err.(*http1.StatusError); ok {
		r.Status, r.Text = e.Status, e.Text
	}
	c.newErrorExchange(buf).Sink.Reply(r)
}

// newErrorExchange puts an exchange without a request behind those of c; buf is the input that came instead.
func (c *Conn) newErrorExchange(buf []byte) *http.Exchange {
	x := c.s.New(c)
	x.Version = http1.HTTP11
	c.append(x)
	c.s.Host.Malformed(x, buf)
	return x
}

// Replaced implements http.Carrier.
func (c *Conn) Replaced(x *http.Exchange, closes bool) {
	x.KeepAlive = x.KeepAlive && !closes && !c.s.Leaving()
	if !x.KeepAlive {
		// The client may be sending bytes that are not read: see conn.Conn.Finish.
		c.Linger = c.Linger || closes
		c.setState(StateEnding)
	}
}

// Leave takes x, which its client is not answered by HTTP/1 any more, from its connection.
func (c *Conn) Leave(x *http.Exchange) {
	if c.first == x {
		c.shift()
	}
}

// Substituted implements http.Carrier.
func (c *Conn) Substituted(x, y *http.Exchange) {
	if x.IsDeferred() {
		c.deferred--
	}
	at := &c.first
	for *at != x {
		at = &(*at).Next
	}
	*at = y
	if c.last == x {
		c.last = y
	}
}
