package sites

import (
	"errors"
	"fmt"

	"fapws/runtime/exchange"
	wire "fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http1"
	"fapws/runtime/route"
	"fapws/runtime/websocket"
)

// A WebSocket is an exchange like others: a request, and parts until the last one. HTTP/1 has its handshake; when the handler has accepted
// that, a Socket of package protocol/websocket is the protocol of the connection, and takes the parts.

// wantsWebSocket reports whether a request asks for one where it may. Not one of the
// server to itself, which has no client that could talk.
func wantsWebSocket(x *Exchange) bool {
	return x.client.subrequest == nil && websocket.Asked(&x.req.parsed, x.req.Head)
}

// handshake submits x, which asks for a WebSocket of its mount, or refuses
// it. It waits for those before it, and later input waits for its answer: it may
// be frames.
func (s *Sites) handshake(x *Exchange) {
	q := x.req
	h, refused := websocket.Check(&q.parsed, q.Head, !s.cfg.NoWebSocketDeflate)
	if refused != nil {
		x.Refuse(exchange.Reply{Status: refused.Status, Text: refused.Text, Fields: []byte(refused.Fields)})
		return
	}
	if !x.InTurn() {
		x.AwaitTurn()
		return
	}
	if q.mount.WebSocket { // of a tunnel we know nothing more
		x.socket, x.MayUpgrade = s.sockets.New(x, h, q.mount.Group), true
	}
	socket := x.socket
	x.Req.WebSocket = true
	x.Submit(q.mount.answerer())
	if socket != nil && x.socket == socket {
		socket.Await()
	}
}

// acceptSocket answers the handshake of x with the first part of its handler, which is the Socket's then. It reports false if the handler
// has not accepted: x is answered like any other request.
func (x *Exchange) acceptSocket(p *exchange.Part) bool {
	sites, c, s := x.s, x.client, x.socket
	if !p.Head.WebSocket {
		x.leaveSocket()
		return false
	}
	if n := p.Head.Subprotocol; len(n) > 0 && !websocket.IsToken(n) {
		sites.logClient(x, logfile.Error, "ignoring the invalid WebSocket subprotocol %q", n)
	}
	heads := &sites.http.Heads
	heads.Fields = append(s.AppendFields(heads.Fields[:0], p.Head.Subprotocol), p.Head.Fields...)
	on, head := x.Carrier.SwitchProtocols(&x.Exchange, &wire.Response{Status: 101, Version: wire.HTTP11, KeepAlive: true, Length: -1, Fields: heads.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer})
	if x.peer == c.peer { // an idle WebSocket does not keep it: Client makes it again for Account
		x.peer, c.peer = nil, nil
	}
	s.Open(on, head)
	s.Send(p)
	return true
}

// leaveSocket ends that x may become a WebSocket.
func (x *Exchange) leaveSocket() {
	if s := x.socket; s != nil && !s.HasConn() {
		s.Refused()
		x.socket = nil
	}
}

// Deliver implements Exchange of package protocol/websocket.
func (x *Exchange) Deliver(in exchange.Input) {
	x.Tell(in)
}

// Cancel implements Exchange of package protocol/websocket.
func (x *Exchange) Cancel() {
	x.ClientGone()
}

// User implements Exchange of package protocol/websocket.
func (x *Exchange) User() string {
	if x.peer == nil {
		return ""
	}
	return x.peer.User
}

// Save implements Exchange of package protocol/websocket.
func (x *Exchange) Save(d *live.SocketState) {
	in, out := x.socket.Carried()
	d.Sent, d.Framed = x.Out.Sent+out, x.Out.Framed
	if e := x.log; e != nil {
		e.WireIn = x.Received + in
		d.Log = e.State()
		x.log = nil // its line comes when the WebSocket ends
	}
}

// ResumeSocket makes a connection of d and fd, and submits its request again: see Resume of Host of package protocol/websocket.
func (s *Sites) ResumeSocket(d *live.SocketState, fd int) (*live.Socket, error) {
	q := newRequest()
	limits := s.cfg.Limits.Plus(1, wire.TraceLineLen)
	if _, err := q.parsed.Parse(d.Head, &limits); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	q.handed.Head = d.Head
	local, remote := d.Addresses()
	c := s.NewClient(fd, local, remote, false)
	x := ofHTTP(c.NewExchange(&q.handed))
	s.begins(x, c, q)
	if !s.findSocket(x, string(d.Group)) {
		c.Leave(&x.Exchange)
		x.End()
		return nil, errOtherMount
	}
	s.host.Open(c)
	if c.State() == http1.StateClosed { // it could not be watched, or the server stops
		c.Leave(&x.Exchange)
		x.End()
		return nil, nil
	}
	if d.Log != nil {
		if x.log = s.RecordOf(d.Log); x.log != nil {
			x.Received = x.log.WireIn
		}
	}
	if d.User != "" {
		by := exchange.Basic
		if x.rules != nil && x.rules.login != nil {
			by = exchange.Form
		}
		x.logIn(d.User, by)
	}
	x.Out.Status, x.Out.Begun = 101, true
	x.Out.Sent, x.Out.Framed = d.Sent, d.Framed
	socket := s.sockets.Resumed(x, d, &c.Conn.Conn)
	x.socket = socket
	r := s.ask(x)
	r.WebSocket, r.Resumed = true, &exchange.Resumed{Subprotocol: d.Subprotocol, Data: d.Data}
	x.Submit(q.mount.answerer())
	if x.socket == socket { // else the handler takes no more
		c.Leave(&x.Exchange)
	}
	return socket, nil
}

var errOtherMount = errors.New("its request leads to something else now")

// findSocket decides about the request of x, whose password was checked before.
func (s *Sites) findSocket(x *Exchange, group string) bool {
	q := x.req
	s.route(x)
	for {
		s.settleRules(x)
		switch q.Outcome {
		case route.Found:
			return q.mount.WebSocket && q.mount.Group == group && q.parsed.UpgradeTo.Len > 0
		case route.NeedsLookup:
			q.Skip()
		case route.NeedsPassword:
			q.Admit()
		default:
			return false
		}
	}
}

// SocketOf returns the WebSocket that x is, nil if it is none.
func SocketOf(x *exchange.Exchange) *live.Socket { return of(x).socket }
