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

// A Carrier is another protocol that may carry an exchange instead of HTTP: a WebSocket or a tunnel. The function offer
// of Server.Init makes a Carrier when the request asks for another protocol. The handler then accepts the protocol, or
// sends an ordinary response.
type Carrier interface {
	// Begun reports whether the protocol has the connection. The Sink of the exchange then belongs to the Carrier.
	Begun() bool

	// Refused is called before the protocol has begun, if the response is an ordinary HTTP response or the client has
	// disconnected.
	Refused()

	// Carried returns the numbers of bytes that were received from the client and sent to the client. proper reports
	// whether the protocol is open or ended without an error.
	Carried() (in, out int64, proper bool)
}

// SocketState is the state of an open WebSocket that one server hands over to another. SocketState is sent as JSON.
type SocketState struct {
	Group         []byte // Mount.Group of its mount
	Head          []byte // head of the request
	Local, Remote string // addresses with ports; "" for a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Compression   websocket.Compression
	Groups        [][]byte // the groups that the WebSocket has joined
	// number of the last message to Groups that the client was sent
	Seq          uint64
	Data         []byte // data of the handler, from the last part with OpHandOver
	Input        []byte // the received part of an incomplete message
	Sent, Framed int64

	Log *logfile.State `json:",omitempty"` // state of the unwritten line of the access log
}

// dropCarrier removes a Carrier that has not begun, and calls its Refused.
func (x *Exchange) dropCarrier() {
	if c := x.Carrier; c != nil && !c.Begun() {
		x.Carrier = nil
		c.Refused()
	}
}

// ChangeProtocol gives the connection of x to its Carrier. From now on, sink gets the parts of x. r is the response
// with the status 101; nil if another response was sent before. ChangeProtocol returns the connection and the head that
// the Carrier must send first: see Stream.
func (x *Exchange) ChangeProtocol(sink Sink, r *http1.Response) (c *conn.Conn, head []byte) {
	x.Sink = sink
	c, head = x.Stream.SwitchProtocols(x, r)
	// Release the memory of the peer, which the method direct creates again.
	if x.from == x.client.peer {
		x.from, x.client.peer = nil, nil
	}
	return c, head
}

func (x *identity) User() string {
	if x.from == nil {
		return ""
	}
	return x.from.User
}

// Resume continues on client a WebSocket that another process has handed over as d. Resume submits the request again,
// with Request.Resumed. If a mount accepts the request, Resume calls the function open, which adds the connection to
// the event loop, and then the function resumed, which makes the Carrier and the Sink of the exchange. The returned
// Carrier is nil if the connection is already closed. If Resume returns an error, the function open was not called.
func (s *Server) Resume(d *SocketState, client *Client, stream Stream, open func(),
	resumed func(x *Exchange, c *conn.Conn) Carrier) (Carrier, error) {
	q := newRequest()
	limits := s.Config.Limits.Plus(http1.OwnFields, http1.OwnLines)
	if _, err := q.parsed.Parse(d.Head, &limits); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	q.handed.Head = d.Head
	x := s.New(client, stream)
	s.begins(x, q, true) // by the other process
	if !s.findSocket(x, string(d.Group)) {
		x.End()
		return nil, errOtherMount
	}
	// The event loop cannot watch the connection, or the server is stopping.
	if open(); client.IsClosed() {
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

func AddressText(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().String()
	}
	return ""
}

// AddressOf is the inverse of AddressText. For "", AddressOf returns the address of a unix socket.
func AddressOf(text string) net.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.UnixAddr{Net: "unix"}
}

// findSocket routes the request of x and reports whether it leads to a mount for WebSockets with this group. findSocket
// checks no password and asks no limit, because the other process has done so.
func (s *Server) findSocket(x *Exchange, group string) bool {
	q := x.req
	s.route(x)
	for q.Outcome == route.NeedsLookup || q.Outcome == route.NeedsAdmission {
		if q.Outcome == route.NeedsAdmission {
			q.Admit()
		} else {
			q.Skip()
		}
	}
	s.settleRules(x)
	return q.Outcome == route.Found && q.mount.Upgrades == ToMessages && q.mount.Group == group &&
		q.parsed.UpgradeTo.Len > 0
}
