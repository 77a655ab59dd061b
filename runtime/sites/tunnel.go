package sites

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
)

// Where Mount.Tunnels, a handler may answer a request for a WebSocket with a connection to an upstream
// (exchange.Head.Tunnel). Then a Link of package protocol/tunnel is the protocol of the connection. What the client has sent behind
// its request, before the answer, was kept like what follows any request, and goes along. Without a tunnel it is the
// next request.

// tunnelHost is an exchange that a tunnel has answered. It implements tunnel.Host.
type tunnelHost struct{ x *Exchange }

func (h tunnelHost) Ended(proper bool) {
	h.x.proper = proper
	h.x.End()
}

// openTunnel makes the connection of x, and the upstream in p, a tunnel.
func (s *Sites) openTunnel(x *Exchange, p *exchange.Part) {
	if c := x.Conn(); c.Half() {
		c.Close("the client has shut down its side before its WebSocket began")
		x.Release(p)
		return
	}
	s.set.Flush()
	if x.Conn() == nil { // its client has left
		x.Release(p)
		return
	}
	if !x.InTurn() { // the answer before goes first
		x.Hold(p)
		return
	}
	t, err := s.tunnels.Open(tunnelHost{x}, s.set, p.Head.Tunnel)
	if err != nil {
		s.logClient(x, loglevel.Error, "no tunnel for a WebSocket: %v", err)
		y := ofHTTP(x.Substitute())
		x.Release(p)
		y.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	c, head := x.Carrier.SwitchProtocols(&x.Exchange, &http1.Response{
		Status: p.Head.Status, Reason: p.Head.Reason, Version: http1.HTTP11, KeepAlive: true, Length: -1,
		Fields: p.Head.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer,
	})
	if s.cfg.Debug >= 2 {
		s.tracef("%s: tunnel opened", c)
	}
	x.tunnel, x.KeepAlive = t, false
	ahead := p.Head.Tunnel.Ahead
	p.Owner.Release(p) // the exchange goes on until the tunnel has ended
	x.Source = exchange.Memory{}
	t.Begin(c, append(head[:len(head):len(head)], ahead...), len(head))
}
