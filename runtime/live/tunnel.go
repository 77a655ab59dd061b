package live

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/websocket"
)

// Tunnels offers tunnels to the requests of an event loop. A tunnel over an HTTP/2 stream counts as a client.
type Tunnels struct {
	loop  Loop
	conns *conn.Set
}

func NewTunnels(loop Loop, conns *conn.Set) *Tunnels { return &Tunnels{loop: loop, conns: conns} }

// Offer makes a Carrier for x if the request asks for a WebSocket. If detaches is true, the handler gets a descriptor
// (exchange.Request.Socket). Otherwise the handler may answer with a Tunnel. Offer returns false if it has rejected x
// or if x must wait.
func (s *Tunnels) Offer(x *exchange.Exchange, detaches bool) bool {
	r := x.Req
	if !websocket.Asked(r.Parsed, r.Head) || detaches && r.Parsed.HasBody {
		return true
	}
	if detaches && !x.HoldDescriptor() {
		x.AwaitDescriptor()
		return false
	}
	if x.Version.Has(http1.SharesConnection) && s.loop.Full() {
		x.Refuse(exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
		return false
	}
	if !detaches {
		if _, refused := websocket.Check(r.Parsed, r.Head, false); refused != nil {
			x.Refuse(exchange.Reply{Status: refused.Status, Text: refused.Text, Fields: []byte(refused.Fields)})
			return false
		}
	}
	if !x.InTurn() {
		x.AwaitTurn(false)
		return false
	}
	if !detaches {
		l := &link{s: s, x: x}
		l.ended = x.End
		x.SetCarrier(l)
		r.Upgrade = true
		return true
	}
	relay := s.newRelay(x)
	if relay == nil {
		x.Refuse(exchange.Reply{Status: 503, Fields: exchange.RetryAfter})
		return false
	}
	x.SetCarrier(relay)
	x.SetSink(relay)
	return true
}

type link struct {
	s      *Tunnels
	x      *exchange.Exchange
	tunnel *conn.Tunnel // nil before the tunnel has begun
	ended  func()       // called when the tunnel has ended
	proper bool         // the tunnel has ended without an error
}

func (l *link) Begun() bool { return l.tunnel != nil }

func (l *link) Refused() {}

func (l *link) Carried() (received, sent int64, proper bool) {
	received, sent = l.tunnel.Carried()
	return received, sent, l.proper
}

// begin begins a tunnel between the client's connection and upstream. If r is not nil, the client first gets the
// response r. The next bytes for the client are those in ahead.
func (l *link) begin(sink exchange.Sink, upstream *conn.Conn, idle time.Duration, failed func(error), r *http1.ResponseHead,
	ahead []byte) {
	x := l.x
	l.tunnel = l.s.conns.NewTunnel(l.end, upstream, idle, failed)
	x.CloseAfter()
	if x.Version.Has(http1.SharesConnection) {
		l.s.loop.Count(1)
	}
	c, head := x.ChangeProtocol(sink, r)
	l.tunnel.Begin(c, append(head[:len(head):len(head)], ahead...), len(head))
}

func (l *link) end(proper bool) {
	l.proper = proper
	if l.x.Version.Has(http1.SharesConnection) {
		l.s.loop.Count(-1)
	}
	l.ended()
}

// halfClosed reports whether the client has shut down its sending side. In this case, halfClosed closes the connection,
// because a tunnel could not forward the shutdown.
func (l *link) halfClosed() bool {
	c := l.x.Conn()
	if c.Half {
		c.Close("the client has shut down its side before its WebSocket began")
	}
	return c.Half
}

// Tunnel is the exchange.Then of a response that accepts a protocol other than HTTP. The response consists of a single
// part with the status 101 and the fields Connection and Upgrade.
type Tunnel struct {
	// Upstream is the connection to the upstream, whose input is paused. It is set to nil when the tunnel takes it over.
	// If Upstream is not nil when the part is released, the handler must close it.
	Upstream *conn.Conn

	// bytes that the handler has already read from the upstream, after the head of the response
	Ahead []byte
	Idle  time.Duration // maximum time without a byte in either direction; 0 means no limit

	// Ended is called on the loop, and must not block, if the tunnel has ended with an error that an operator should
	// know.
	Ended func(error)
}

func (t *Tunnel) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	l, ok := x.Carrier.(*link)
	if !ok || l.halfClosed() { // the client has disconnected
		return exchange.Goes
	}
	l.s.conns.Flush()
	switch {
	case x.Conn() == nil:
		return exchange.Goes
	case !x.InTurn(): // earlier responses must be sent first
		return exchange.Later
	}
	upstream, h := t.Upstream, &p.Head
	t.Upstream = nil
	x.SetSource(exchange.Memory{}, "")
	head := &http1.ResponseHead{Status: h.Status, Reason: h.Reason, Version: http1.HTTP11, KeepAlive: true, Length: -1,
		Fields: h.Fields, HasDate: h.HasDate, HasServer: h.HasServer}
	l.begin(x, upstream, t.Idle, t.Ended, head, t.Ahead)
	return exchange.Taken // the exchange continues until the tunnel has ended
}
