package exchange

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/websocket"
)

// A Carrier is another protocol that may carry an exchange in place of HTTP: a WebSocket, or a tunnel. The function of
// Server.Init makes it when the request asks for another protocol; the handler then accepts it or answers like any
// other.
type Carrier interface {
	// Begun reports whether the protocol has the connection. The Sink of the exchange is then that of the Carrier.
	Begun() bool

	// Refused is called if HTTP answers instead, or the client has disconnected, before the protocol has begun.
	Refused()

	// Carried returns the bytes that have come from the client, and those that were sent to it. proper reports whether
	// the protocol is open or has ended as it should.
	Carried() (in, out int64, proper bool)
}

// SocketState is an open WebSocket that goes from one server to another, for JSON.
type SocketState struct {
	Group         []byte // of its mount
	Head          []byte // of the request
	Local, Remote string // addresses with ports; "" of a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Compression   websocket.Compression
	Groups        [][]byte // that it has joined
	Seq           uint64   // it was sent all messages to them up to this one
	Data          []byte   // of the handler: of the Last part with OpHandOver
	Input         []byte   // that was read and is no whole message
	Sent, Framed  int64

	Log *logfile.State `json:",omitempty"` // of the line in the access log to come
}

// dropCarrier ends that another protocol may carry x.
func (x *Exchange) dropCarrier() {
	if c := x.Carrier; c != nil && !c.Begun() {
		x.Carrier = nil
		c.Refused()
	}
}

// ChangeProtocol gives the connection of x to its Carrier, whose sink takes the parts of x from now on. r is the
// response with the status 101. nil if another response went before. It returns the connection and the head that the
// Carrier must send first: see Stream.
func (x *Exchange) ChangeProtocol(sink Sink, r *http1.Response) (c *conn.Conn, head []byte) {
	x.Sink = sink
	c, head = x.Stream.SwitchProtocols(x, r)
	if x.from == x.client.peer { // an idle connection does not keep the peer, which direct makes again
		x.from, x.client.peer = nil, nil
	}
	return c, head
}

// User returns the name of the logged-in user, or "".
func (x *identity) User() string {
	if x.from == nil {
		return ""
	}
	return x.from.User
}

// Save notes in d what the server that takes the WebSocket of x over needs for the access log, in which x has no line
// then.
func (x *Exchange) Save(d *SocketState) {
	in, out, _ := x.Carrier.Carried()
	d.Sent, d.Framed = x.Out.Sent+out, x.Out.Framed
	if e := x.Record; e != nil {
		e.WireIn = x.Received + in
		d.Log = e.State()
		x.Record = nil // its line comes when the WebSocket ends
	}
}

// Resume continues the WebSocket d of another process, whose connection client is: it submits the request again, to a
// handler that gets Resumed. open has the event loop serve the connection, if a mount takes the request; resumed then
// makes the Carrier of the exchange, and its Sink. The Carrier is nil if the connection has ended already. With an
// error, open was not called.
func (s *Server) Resume(d *SocketState, client *Client, stream Stream, open func(), resumed func(x *Exchange, c *conn.Conn) Carrier) (Carrier, error) {
	q := newRequest()
	limits := s.Config.Limits.Plus(1, http1.TraceLineLen)
	if _, err := q.parsed.Parse(d.Head, &limits); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	q.handed.Head = d.Head
	x := s.New(client, stream)
	s.begins(x, q)
	if !s.findSocket(x, string(d.Group)) {
		x.End()
		return nil, errOtherMount
	}
	if open(); client.IsClosed() { // it could not be watched, or the server stops
		x.End()
		return nil, nil
	}
	if d.Log != nil {
		if x.Record = s.RecordOf(d.Log); x.Record != nil {
			x.Received = x.Record.WireIn
		}
	}
	if d.User != "" {
		by := Basic
		if x.rules.access != nil {
			by = x.rules.access.By()
		}
		x.LogIn(d.User, by)
	}
	x.Out.Status, x.Out.Begun = 101, true
	x.Out.Sent, x.Out.Framed = d.Sent, d.Framed
	carrier := resumed(x, &client.Conn)
	r := q.hand(x)
	r.Upgrade, r.Resumed = true, d
	x.Choice = q.mount
	x.Submit()
	return carrier, nil
}

var errOtherMount = errors.New("its request leads to something else now")

// AddressText returns the text of an address for AddressOf.
func AddressText(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().String()
	}
	return ""
}

// AddressOf returns the address of a connection that a text names; "": of a unix socket.
func AddressOf(text string) net.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.UnixAddr{Net: "unix"}
}

// findSocket decides about the request of x, whose password was checked before.
func (s *Server) findSocket(x *Exchange, group string) bool {
	q := x.req
	s.route(x)
	for q.Outcome == route.NeedsLookup || q.Outcome == route.NeedsPassword {
		if q.Outcome == route.NeedsPassword {
			q.Admit()
		} else {
			q.Skip()
		}
	}
	s.settleRules(x)
	return q.Outcome == route.Found && q.mount.Upgrades == ToMessages && q.mount.Group == group && q.parsed.UpgradeTo.Len > 0
}
