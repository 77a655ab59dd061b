package exchange

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/system"
	"fapws/runtime/websocket"
)

// A WebSocket is an exchange like others: a request, and parts until the last one. HTTP/1 has its handshake; when the handler has accepted
// that, a Socket (of package live) is the protocol of the connection, and takes the parts.

// Sockets makes a Socket of an exchange.
type Sockets interface {
	// New returns a Socket for the handshake of x, whose request is for a mount with that group, "" if it has none. From now on it gets
	// the messages to its group.
	New(x *Exchange, h websocket.Handshake, group string) Socket

	// Resumed returns a Socket for d, whose request is that of x. It is the protocol of c from now on, and has what the client has sent. It is
	// called before a handler gets the request.
	Resumed(x *Exchange, d *SocketState, c *conn.Conn) Socket
}

// Socket is a WebSocket, from its handshake on.
type Socket interface {
	// AppendFields appends the fields of the response that accepts it (RFC 6455 §4.2.2). subprotocol is the handler's choice, which is
	// left out if it is not a token.
	AppendFields(dst, subprotocol []byte) []byte

	// Open makes it, whose handshake was accepted, the protocol of c, on which head is sent first.
	Open(c *conn.Conn, head []byte)

	// HasConn reports whether it has its connection, by Open or Resumed. Then Send takes the parts of the exchange.
	HasConn() bool
	Send(p *Part)

	// Refused ends it: something else answers, or the client has left. One of another process is closed.
	Refused()

	// Carried returns how many bytes have come from the client, and how many were sent to it. proper is false if it has ended, but was not
	// closed as it should.
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

// wantsWebSocket reports whether a request asks for one where it may. Not one of the
// server to itself, which has no client that could talk.
func wantsWebSocket(x *Exchange) bool {
	return x.client.subrequest == nil && websocket.Asked(&x.req.parsed, x.req.Head)
}

// handshake submits x, which asks for a WebSocket of its mount, or refuses
// it. It waits for those before it, and later input waits for its answer: it may
// be frames.
func (s *Server) handshake(x *Exchange) {
	q := x.req
	h, refused := websocket.Check(&q.parsed, q.Head, !s.Config.NoDeflate)
	if refused != nil {
		x.Refuse(Reply{Status: refused.Status, Text: refused.Text, Fields: []byte(refused.Fields)})
		return
	}
	if !x.InTurn() {
		x.AwaitTurn(false)
		return
	}
	if q.mount.WebSocket { // of a tunnel we know nothing more
		x.Socket = s.sockets.New(x, h, q.mount.Group)
	}
	x.Req.WebSocket = true
	x.Choice = q.mount
	x.Stream.Read(x)
}

// acceptSocket answers the handshake of x with the first part of its handler, which is the Socket's then. It reports false if the handler
// has not accepted: x is answered like any other request.
func (x *Exchange) acceptSocket(p *Part) bool {
	all, c, s := x.s, x.client, x.Socket
	if !p.Head.WebSocket {
		x.leaveSocket()
		return false
	}
	if n := p.Head.Subprotocol; len(n) > 0 && !websocket.IsToken(n) {
		all.logClient(x, logfile.Error, "ignoring the invalid WebSocket subprotocol %q", n)
	}
	heads := &all.Heads
	heads.Fields = append(s.AppendFields(heads.Fields[:0], p.Head.Subprotocol), p.Head.Fields...)
	on, head := x.Stream.SwitchProtocols(x, &http1.Response{Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1, Fields: heads.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer})
	if x.peer == c.peer { // an idle WebSocket does not keep it: direct makes it again
		x.peer, x.from, c.peer = nil, nil, nil
	}
	s.Open(on, head)
	s.Send(p)
	return true
}

// leaveSocket ends that x may become a WebSocket.
func (x *Exchange) leaveSocket() {
	if s := x.Socket; s != nil && !s.HasConn() {
		s.Refused()
		x.Socket = nil
	}
}

// User returns the name of the logged-in user, or "".
func (x *Exchange) User() string {
	if x.peer == nil {
		return ""
	}
	return x.peer.User
}

// Save notes in d what the server that takes the WebSocket of x over needs for the access log, in which x has no line then.
func (x *Exchange) Save(d *SocketState) {
	in, out, _ := x.Socket.Carried()
	d.Sent, d.Framed = x.Out.Sent+out, x.Out.Framed
	if e := x.Record; e != nil {
		e.WireIn = x.Received + in
		d.Log = e.State()
		x.Record = nil // its line comes when the WebSocket ends
	}
}

// Resume continues the WebSocket d of another process, whose connection client is: it submits the request again, to a handler that gets
// Resumed. open has the event loop serve the connection, if a mount takes the request. The Socket is nil if the connection has ended
// already. With an error, open was not called.
func (s *Server) Resume(d *SocketState, client *Client, stream Stream, open func()) (Socket, error) {
	q := newRequest()
	limits := s.Config.Limits.Plus(1, http1.TraceLineLen)
	if _, err := q.parsed.Parse(d.Head, &limits); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	q.handed.Head = d.Head
	x := s.New(client, stream, nil)
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
	socket := s.sockets.Resumed(x, d, &client.Conn)
	x.Socket = socket
	r := x.makeRequest()
	x.peer = r.Peer
	r.WebSocket, r.Resumed = true, d
	x.Choice = q.mount
	x.Submit()
	return socket, nil
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
	return q.Outcome == route.Found && q.mount.WebSocket && q.mount.Group == group && q.parsed.UpgradeTo.Len > 0
}

// Where Mount.Tunnels, a handler may answer a request for a WebSocket with a connection to an upstream
// (Head.Tunnel). Then an end of a Tunnel of package conn is the protocol of the connection. What the client has sent behind
// its request, before the answer, was kept like what follows any request, and goes along. Without a tunnel it is the
// next request.

// tunnelTo makes the connection of x one end of a tunnel to upstream. The client gets r first, unless it is nil, and then ahead.
func (x *Exchange) tunnelTo(upstream *conn.Conn, idle time.Duration, failed func(error), r *http1.Response, ahead []byte) {
	x.tunnel, x.KeepAlive = x.s.secure.NewTunnel(x, upstream, idle, failed), false
	if x.Version == http1.HTTP2 {
		x.s.loop.Count(1)
	}
	if r == nil {
		x.Out.Status = 101
	}
	c, head := x.Stream.SwitchProtocols(x, r)
	x.tunnel.Begin(c, append(head[:len(head):len(head)], ahead...), len(head))
}

// Ended implements conn.TunnelOwner.
func (x *Exchange) Ended(proper bool) {
	x.proper = proper
	if x.Version == http1.HTTP2 {
		x.s.loop.Count(-1)
	}
	if x.relay != nil {
		x.relay.cut()
	} else {
		x.End()
	}
}

// cannotTunnel closes the connection of x if its client has shut down its side: an upstream would not be told. It reports whether it has.
func (x *Exchange) cannotTunnel() bool {
	c := x.Conn()
	if c.Half {
		c.Close("the client has shut down its side before its WebSocket began")
	}
	return c.Half
}

// openTunnel makes the connection of x, and the upstream in p, a tunnel.
func (s *Server) openTunnel(x *Exchange, p *Part) {
	if x.cannotTunnel() {
		x.Release(p)
		return
	}
	s.Set.Flush()
	if x.Conn() == nil { // its client has left
		x.Release(p)
		return
	}
	if !x.InTurn() { // the answer before goes first
		x.Hold(p)
		return
	}
	to := *p.Head.Tunnel
	p.Head.Tunnel.Upstream = nil
	r := http1.Response{
		Status: p.Head.Status, Reason: p.Head.Reason, Version: http1.HTTP11, KeepAlive: true, Length: -1,
		Fields: p.Head.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer,
	}
	x.Source = Memory{}
	x.tunnelTo(to.Upstream, to.Idle, to.Ended, &r, to.Ahead)
	p.Owner.Release(p) // the exchange goes on until the tunnel has ended
}

// maxAnswer bounds the head that an application writes.
const maxAnswer = 16 << 10

// readAnswer reads the head of the response that the application has written to its socket, and nothing behind it. It returns nil if it has
// not arrived yet, or does not accept a WebSocket: then the client was answered.
func (r *relay) readAnswer() *http1.Response {
	head := make([]byte, maxAnswer)
	n, _, err := unix.Recvfrom(r.fd, head, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	size := bytes.Index(head[:max(n, 0)], []byte("\r\n\r\n")) + 4
	switch {
	case size >= 4:
	case err == unix.EAGAIN || n > 0 && n < maxAnswer:
		return nil
	default:
		r.malformed("it has no head of at most 16 KiB")
		return nil
	}
	unix.Recvfrom(r.fd, head[:size], unix.MSG_DONTWAIT) // which were there
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head[:size])), nil)
	switch {
	case err != nil:
		r.malformed(err.Error())
		return nil
	case answer.StatusCode >= 400:
		r.x.FailWith(Reply{Status: answer.StatusCode})
		return nil
	case answer.StatusCode != http.StatusSwitchingProtocols:
		r.malformed("its status is " + answer.Status)
		return nil
	}
	var fields bytes.Buffer
	answer.Header.Write(&fields) // into memory
	return &http1.Response{
		Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1, Fields: fields.Bytes(),
		HasDate: answer.Header["Date"] != nil, HasServer: answer.Header["Server"] != nil,
	}
}

// malformed refuses a WebSocket whose application has written something else than the head that accepts it.
func (r *relay) malformed(why string) {
	r.x.s.logClient(r.x, logfile.Error, "the application's response to a request for a WebSocket is malformed: %s", why)
	r.x.FailWith(Reply{Status: 502})
}

// An application that speaks the protocol of WebSockets by itself (Mount.DetachSocket) gets one end of a pair of sockets. When it writes
// to that, a tunnel between the other end and the connection, or the stream, begins; if it answers like any other, nothing has happened.
// Applications speak HTTP/1: for a stream, the head of their response is read first.

// relay is that other end.
type relay struct {
	x        *Exchange
	fd       int
	watch    eventloop.Watch
	answered bool // the last part of x has come
	ended    bool // the tunnel is over
}

// newRelay gives the request of x, which is being decided about and in turn, a descriptor. It reports whether the system has one.
func (x *Exchange) newRelay() bool {
	s, r := x.s, &relay{x: x}
	pair, err := system.SocketpairNonblock()
	if err == nil {
		r.fd = pair[0]
		if err = s.Set.Events.Add(&r.watch, r.fd, r); err != nil {
			unix.Close(pair[0])
			unix.Close(pair[1])
		}
	}
	if err != nil {
		s.logClient(x, logfile.Error, "no sockets for a WebSocket: %v", err)
		return false
	}
	x.relay, x.Req.Socket = r, pair[1]
	return true
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
	x := r.x
	if x.cannotTunnel() {
		return
	}
	var head *http1.Response
	if x.Version == http1.HTTP2 {
		if head = r.readAnswer(); head == nil {
			return
		}
	}
	r.watch.Remove()
	upstream := new(conn.Conn)
	upstream.Init(r.fd, nil, nil)
	r.fd = -1
	x.tunnelTo(upstream, 0, func(error) {}, head, nil) // the application knows why it has closed
}

// take takes a part of the application, and reports whether it has done so.
func (r *relay) take(p *Part) bool {
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

// cut is called when the tunnel has ended.
func (r *relay) cut() {
	r.ended = true
	if !r.answered {
		r.x.Abandon()
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
		unix.Close(r.fd)
		r.fd = -1
	}
}
