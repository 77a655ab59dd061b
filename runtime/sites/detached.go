package sites

import (
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// An application that speaks the protocol of WebSockets by itself (Mount.DetachSocket) cannot have the socket of a client with TLS, nor
// that of one with HTTP/2. It gets one end of a pair of sockets. When it writes to that, a tunnel between the other end and the connection,
// or the stream, begins; if it answers like any other, nothing has happened. Applications speak HTTP/1: for a stream, the head of their
// response is read first (tunnel.go).

// relay is that other end. It implements conn.TunnelHost.
type relay struct {
	x        *Exchange
	fd       int
	watch    eventloop.Watch
	answered bool // the last part of x has come
	ended    bool // the tunnel is over
}

// newRelay returns a descriptor for the request of x, which is being decided about and in turn, as DetachSocket of package protocol/http1 does.
func (x *Exchange) newRelay() (int, error) {
	s := x.s
	c, held := x.client, false
	if x.Version != http1.HTTP2 { // a stream keeps its input by itself
		var err error
		if held, err = c.HoldInput(); !held {
			return 0, err
		}
	}
	r := &relay{x: x}
	pair, err := system.SocketpairNonblock()
	if err == nil {
		r.fd = pair[0]
		if err = s.set.Events.Add(&r.watch, r.fd, r); err != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
		}
	}
	if err != nil {
		if held {
			c.Continue()
		}
		s.logClient(x, logfile.Error, "no sockets for a WebSocket: %v", err)
		return 0, err
	}
	system.HoldDescriptor(r.fd)
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
	x, s := r.x, r.x.s
	var head *http1.Response
	if x.Version == http1.HTTP2 {
		if head = r.readAnswer(); head == nil {
			return
		}
	}
	r.watch.Remove()
	t := &exchange.Tunnel{Upstream: system.Plain{Descriptor: r.fd}, Ended: func(error) {}} // the application knows why it has closed
	link, err := s.tunnels.Open(r, s.set, t)
	if err != nil {
		s.logClient(x, logfile.Error, "no tunnel for a WebSocket: %v", err)
		if head == nil {
			x.client.Close(err.Error())
		} else {
			r.refuse(exchange.Reply{Status: 503, Fields: retryAfter})
		}
		return
	}
	r.fd = -1
	x.tunnel, x.Out.Status = link, 101
	if head != nil {
		on, _ := x.Carrier.SwitchProtocols(&x.Exchange, head)
		link.Begin(on, nil, 0)
		return
	}
	x.client.EndHTTP(&x.Exchange)
	link.Begin(&x.client.Conn.Conn, nil, 0)
}

// refuse answers the client in the place of the application, which has lost it.
func (r *relay) refuse(reply exchange.Reply) {
	x := r.x
	y := ofHTTP(x.Substitute())
	x.Abandon() // closes the end of the server
	y.Reply(reply)
}

// take takes a part of the application, and reports whether it has done so.
func (r *relay) take(p *exchange.Part) bool {
	x := r.x
	if p.Last && p.Taken && x.tunnel == nil && x.Conn() != nil {
		r.open() // it may have written just before
		if x.tunnel == nil && x.Version == http1.HTTP2 && x.Conn() != nil {
			r.malformed("it has no end")
		}
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

// Ended implements conn.TunnelHost.
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
		system.ReleaseDescriptor(r.fd)
		unix.Close(r.fd)
		r.fd = -1
	}
}
