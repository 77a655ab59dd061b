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

// tunnelHost is an exchange that a tunnel has answered, and the connection, which lasts longer. It implements tunnel.Host.
type tunnelHost struct {
	x *Exchange
	*Client
}

func (h tunnelHost) Ended(proper bool) {
	h.x.proper = proper
	h.x.End()
}

// openTunnel makes the connection of x, and the upstream in p, a tunnel.
func (s *Sites) openTunnel(x *Exchange, p *exchange.Part) {
	c := x.client
	if c.Half() {
		c.Close("the client has shut down its side before its WebSocket began")
		x.Release(p)
		return
	}
	s.set.Flush()
	if x.Conn() == nil { // its client has left
		x.Release(p)
		return
	}
	if c.Writing() { // of the answer before, which goes first
		x.Hold(p)
		return
	}
	t, err := s.tunnels.Open(tunnelHost{x, c}, s.set, &c.Conn.Conn, p.Head.Tunnel)
	if err != nil {
		s.logClient(x, loglevel.Error, "no tunnel for a WebSocket: %v", err)
		y := ofHTTP(x.Substitute())
		x.Release(p)
		y.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	if s.cfg.Debug >= 2 {
		s.tracef("%s: tunnel opened", c)
	}
	first := s.tunnelHead(x, p)
	head := len(first)
	first = append(first, p.Head.Tunnel.Ahead...)
	x.tunnel = t
	c.EndHTTP(&x.Exchange)
	p.Owner.Release(p) // the exchange goes on until the tunnel has ended
	x.Source = exchange.Memory{}
	t.Begin(first, head)
}

// tunnelHead returns the head of the answer, with what rules add to it.
func (s *Sites) tunnelHead(x *Exchange, p *exchange.Part) []byte {
	r := http1.Response{
		Status: p.Head.Status, Reason: p.Head.Reason, Version: http1.HTTP11, KeepAlive: true, Length: -1,
		Fields: p.Head.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer,
	}
	return x.AppendHead(nil, &r)
}
