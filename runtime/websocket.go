package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	protocol "fapws/runtime/protocol/websocket"
	"fapws/runtime/pubsub"
	"fapws/runtime/websocket"
)

// A WebSocket is an exchange like others: a request, and parts until the last one.
// Between handshake and end its connection is in stateSocket. A handler gives and
// gets whole messages. The protocol is that of package protocol/websocket, to which websocketconn.go shows connection and exchange.

// socket is the WebSocket of a connection: asked for, or open.
type socket struct {
	x       *Exchange // that has asked for it
	accept  [28]byte
	packing websocket.Compression
	protocol.Socket

	open    bool // 101 was sent
	handing bool // the handler was asked whether it can be handed over
	resumes bool // it comes from another process, and the handler has not gone on with it yet

	position pubsub.Position[*socket] // in its groups
	left     bool                     // it is in none any more
	group    string                   // Mount.Group; "": it cannot be handed over
	behind   int                      // bytes of messages to its groups that wait: see groups.queue
	early    []*pubsub.Event          // those that wait until it is open

	subprotocol string
}

// sockets is what all of a loop share: messages are taken one at a time.
type sockets struct {
	inflater websocket.Inflater
	deflater websocket.Deflater
}

// wantsWebSocket reports whether a request asks for one where it may. Not one of the
// server to itself, which has no client that could talk.
func wantsWebSocket(x *Exchange) bool {
	return x.conn.subrequest == nil && websocket.Asked(&x.req.parsed, x.req.Head)
}

// handshake submits x, which asks for a WebSocket of its mount, or refuses
// it. It waits for those before it, and what follows waits for its answer: it may
// be frames.
func (l *loop) handshake(x *Exchange) {
	q, c := x.req, x.conn
	h, refused := websocket.Check(&q.parsed, q.Head, !l.cfg.NoWebSocketDeflate)
	if refused != nil {
		x.refuse(exchange.Reply{Status: refused.Status, Text: refused.Text, Fields: []byte(refused.Fields)})
		return
	}
	if !x.isFirst() {
		x.suspend(awaitingTurn)
		return
	}
	var ws *socket // nil: of a tunnel we know nothing more
	if q.mount.WebSocket {
		ws = l.newSocket(c, h)
	}
	r := q.ask()
	r.WebSocket = true
	c.ws = ws
	c.setState(stateWaiting)
	l.submit(x, r)
	if ws != nil && c.first == x && x.owed {
		ws.x = x
		ws.group = q.mount.Group
		l.groups.enter(ws, ws.group)
	}
}

// newSocket makes c a WebSocket that has yet to be accepted.
func (l *loop) newSocket(c *httpConn, h websocket.Handshake) *socket {
	if l.sockets == nil {
		l.sockets = new(sockets)
	}
	ws := &socket{accept: h.Accept, packing: h.Compression}
	ws.Conn, ws.Handler = socketConn{c}, socketHandler{c}
	ws.Decoder.Max = l.cfg.WebSocketMaxSize
	if ws.packing.On {
		ws.Decoder.Inflater = &l.sockets.inflater
	}
	return ws
}

// sendToSocket is send for a connection with a WebSocket. false: x is answered like
// any other request.
func (l *loop) sendToSocket(x *Exchange, p *exchange.Part) bool {
	c := x.conn
	ws := c.ws
	if !ws.open {
		accepted := ws.x == x && p.First && p.Head.WebSocket
		if ws.resumes && !accepted {
			l.handover.failed(c)
		} else if !accepted {
			l.groups.leave(ws)
			c.ws = nil
			return false
		} else {
			l.openSocket(x, p)
		}
	}
	if p.Op == exchange.OpHandOver {
		l.handover.answered(x, p)
		return true
	}
	l.sendMessage(x, p)
	return true
}

// openSocket begins the WebSocket that the handler has accepted.
func (l *loop) openSocket(x *Exchange, p *exchange.Part) {
	c := x.conn
	ws := c.ws
	if ws.resumes {
		x.status = 101
		l.handover.settled(ws)
	} else {
		l.acceptSocket(x, p)
	}
	x.begun = true
	x.owed = false // messages come when they come: no timeout
	ws.open = true
	c.Stamp = l.now()
	c.setState(stateSocket)
	l.groups.accepted(ws)
	if len(c.Pending()) > 0 || c.Half() {
		c.queue()
	}
	if l.leaving && c.state == stateSocket && (ws.group == "" || !l.handover.stay) {
		l.goAway(c)
	}
}

// acceptSocket answers 101.
func (l *loop) acceptSocket(x *Exchange, p *exchange.Part) {
	c := x.conn
	ws := c.ws
	c.Use()
	fields := append(l.heads.fields[:0], "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	fields = append(append(fields, ws.accept[:]...), crlf...)
	if s := p.Head.Subprotocol; websocket.IsToken(s) {
		fields = append(append(append(fields, "Sec-WebSocket-Protocol: "...), s...), crlf...)
		ws.subprotocol = string(s)
	} else if len(s) > 0 {
		l.logClient(c, x.rules, loglevel.Error, "%q cannot be a subprotocol of a WebSocket and is left out", s)
	}
	if ws.packing.On {
		fields = append(ws.packing.AppendTo(append(fields, "Sec-WebSocket-Extensions: "...)), crlf...)
	}
	l.heads.fields = append(fields, p.Head.Fields...)
	r := http1.Response{Status: 101, Minor: 1, KeepAlive: true, Length: -1, Fields: l.heads.fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer}
	l.conns.Buf = x.appendHead(l.conns.Buf, &r)
}

// opcodeOf is how an op is on the wire.
func opcodeOf(op exchange.Op) websocket.Opcode {
	if op == exchange.OpText {
		return websocket.Text
	}
	return websocket.Binary
}

// sendMessage sends what p is, a message or the end, to an open WebSocket.
func (l *loop) sendMessage(x *Exchange, p *exchange.Part) {
	c := x.conn
	ws := c.ws
	c.Use()
	before := len(l.conns.Buf)
	var body, tail []byte
	switch {
	case ws.Closing():
	case p.Op == exchange.OpText || p.Op == exchange.OpBinary:
		body = l.frame(ws, opcodeOf(p.Op), p.Body)
		if p.Last {
			tail = ws.Close(endCode(p), "")
		}
	case p.Op == exchange.OpClose:
		tail = ws.Close(p.Code, string(p.Body))
	case p.Last:
		tail = ws.Close(endCode(p), "")
	}
	x.sent += int64(len(l.conns.Buf) - before + len(body) + len(tail))
	if p.Last {
		x.proper = !p.Failed
		l.groups.leave(ws)
		c.shift()
	}
	if len(body) <= copyLimit {
		l.conns.Buf = append(append(l.conns.Buf, body...), tail...)
		l.release(p)
		if len(l.conns.Buf) > flushLimit {
			l.conns.Flush()
		}
	} else if p.Local {
		c.sendShared(body, tail)
	} else {
		c.sendLarge(p, body, tail)
	}
	ws.Answered()
}

// endCode is with what a WebSocket closes whose handler has ended without saying it.
func endCode(p *exchange.Part) uint16 {
	if p.Failed {
		return websocket.InternalError
	}
	return websocket.Normal
}

// frame appends the header of a message to l.out, or all of it when that gets
// smaller by compressing. body is what is still to be sent of it.
func (l *loop) frame(ws *socket, op websocket.Opcode, message []byte) (body []byte) {
	if n := len(message); ws.packing.On && n >= websocket.DeflateFrom && n <= websocket.DeflateUpTo {
		if packed, ok := l.sockets.deflater.Deflate(message, ws.packing.Bits); ok {
			l.conns.Buf = websocket.AppendHeader(l.conns.Buf, op, true, len(packed))
			l.conns.Buf = append(l.conns.Buf, packed...)
			return nil
		}
	}
	l.conns.Buf = websocket.AppendHeader(l.conns.Buf, op, false, len(message))
	return message
}
