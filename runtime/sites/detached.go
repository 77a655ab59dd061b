package sites

import (
	"fapws/runtime/descriptors"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// An application that speaks the protocol of WebSockets by itself (Mount.DetachSocket) cannot have the socket of a client with TLS. It gets one
// end of a pair of sockets. When it writes to that, a tunnel between the other end and the connection begins; if it
// answers like any other, nothing has happened.

// relay is that other end. It implements tunnel.Host.
type relay struct {
	x        *Exchange
	*Client  // for Closed and Gone of the connection
	fd       int
	watch    eventloop.Watch
	answered bool // the last part of x has come
	ended    bool // the tunnel is over
}

// newRelay returns a descriptor for the request of x, which is being decided about and in turn, as DetachSocket of package protocol/http1 does.
func (x *Exchange) newRelay() (int, error) {
	s := x.s
	if held, err := x.client.HoldInput(); !held {
		return 0, err
	}
	c := x.client
	r := &relay{x: x, Client: c}
	pair, err := system.SocketpairNonblock()
	if err == nil {
		r.fd = pair[0]
		if err = s.set.Events.Add(&r.watch, r.fd, r); err != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
		}
	}
	if err != nil {
		c.Continue()
		s.logClient(x, loglevel.Error, "no sockets for a WebSocket: %v", err)
		return 0, err
	}
	descriptors.Hold(r.fd)
	x.relay = r
	return pair[1], nil
}

// Ready implements eventloop.Handler: the application has written something, or has closed its end.
func (r *relay) Ready(eventloop.Readiness) {
	var b [1]byte
	if n, _, err := unix.Recvfrom(r.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err == nil && n > 0 {
		r.open()
	}
}

// open begins the tunnel.
func (r *relay) open() {
	x, c, s := r.x, r.Client, r.x.s
	r.watch.Remove()
	t := &exchange.Tunnel{Upstream: netio.Plain{Descriptor: r.fd}, Ended: func(error) {}} // the application knows why it has closed
	link, err := s.tunnels.Open(r, s.set, &c.Conn.Conn, t)
	if err != nil {
		s.logClient(x, loglevel.Error, "no tunnel for a WebSocket: %v", err)
		c.Close(err.Error())
		return
	}
	r.fd = -1
	x.tunnel, x.Out.Status = link, 101
	c.EndHTTP(&x.Exchange)
	link.Begin(nil, 0)
}

// take takes a part of the application, and reports whether it has done so.
func (r *relay) take(p *exchange.Part) bool {
	x := r.x
	if p.Last && p.Taken && x.tunnel == nil && x.Conn() != nil {
		r.open() // it may have written just before
	}
	if x.tunnel == nil {
		if p.Last {
			r.close()
			x.relay = nil
		}
		return false
	}
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if p.Last {
		r.answered = true
		r.end()
	}
	return true
}

// Ended implements tunnel.Host.
func (r *relay) Ended(proper bool) {
	r.x.proper = proper
	r.ended = true
	if !r.answered {
		r.x.ClientGone()
	}
	r.end()
}

// end ends the exchange when both of its sides have ended.
func (r *relay) end() {
	if r.ended && r.answered {
		r.x.relay = nil
		r.x.End()
	}
}

// close closes the end of the server if no tunnel has it.
func (r *relay) close() {
	if r.fd >= 0 {
		r.watch.Remove()
		descriptors.Release(r.fd)
		unix.Close(r.fd)
		r.fd = -1
	}
}
