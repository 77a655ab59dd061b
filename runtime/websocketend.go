package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/websocket"
)

// closeTimeout is how long a client may take to answer a close frame.
const closeTimeout = 5 * time.Second

// handlerGrace is how long a handler may take to end when its client has closed a
// WebSocket, or broken the protocol.
const handlerGrace = time.Second

// in returns the loop's time after d. Unlike l.now, it is not late.
func (l *loop) in(d time.Duration) int64 { return int64(time.Since(l.conns.Start()) + d) }

// ends says whether all that is expected of the client is that it closes.
func (ws *socket) ends() bool { return ws.closing || ws.over != nil }

// closing returns a close frame and notes that it is sent.
func (l *loop) closing(c *httpConn, code uint16, reason string) []byte {
	ws := c.ws
	if ws.over != nil {
		code, reason = ws.over.Code, ws.over.Text
	}
	ws.closing = true
	ws.due = l.in(closeTimeout)
	c.Schedule()
	if c.stopped && ws.away == 0 { // for want of credit; now only the client's close frame counts
		l.resumeReading(c)
	}
	return websocket.AppendClose(nil, code, []byte(reason))
}

// tellClosed tells the handler of x that its WebSocket is closed.
func (l *loop) tellClosed(x *Exchange, code uint16, reason []byte) {
	if ws := x.conn.ws; ws.told {
		return
	} else {
		ws.told = true
	}
	l.tell(x, exchange.Input{Op: exchange.OpClose, Code: code, Data: reason})
}

// detach ends that an exchange and c, which it has been told is closed, know each other. Parts
// that still come are released unseen.
func (l *loop) detach(c *httpConn) {
	x := c.first
	l.groups.leave(c.ws)
	c.shift()
	x.conn, x.proper = nil, true
	l.dropHeld(x)
}

// endSocket answers what ws.over says, if that was not done, and ends the connection
// when all that was sent is out. What the client still sends is thrown away. A handler that
// has not ended is cancelled, though it was told of a close frame: it may do nothing but send.
func (l *loop) endSocket(c *httpConn) {
	ws := c.ws
	l.tellAway(c)
	if !ws.closing {
		l.control(c, l.closing(c, 0, ""))
	}
	l.cancelAll(c)
	l.leaveSocket(c)
}

// leaveSocket is endSocket when all has been said.
func (l *loop) leaveSocket(c *httpConn) {
	c.Linger = true
	l.setState(c, stateEnding)
	l.settle(c)
}

// goAway closes a WebSocket because the server stops, or is replaced (RFC 6455
// §7.4.1; 1012 is IANA's): browsers then connect again. Messages that cross the close
// frame on their way still reach the handler: it is told of the end (tellAway) when the
// client has answered the frame, behind all that it has sent.
func (l *loop) goAway(c *httpConn) {
	if c.ws.closing {
		return
	}
	code := uint16(websocket.ServiceRestart)
	if l.draining {
		code = websocket.GoingAway
	}
	if c.ws.over != nil {
		l.endSocket(c)
		return
	}
	c.ws.away = code
	l.control(c, l.closing(c, code, ""))
}

// tellAway tells the handler of c, if goAway has closed its WebSocket, that nothing more
// comes from the client.
func (l *loop) tellAway(c *httpConn) {
	ws, x := c.ws, c.first
	if ws == nil || ws.away == 0 || x == nil {
		return
	}
	if n := len(x.held); n == 0 || !x.held[n-1].Last {
		l.tellClosed(x, ws.away, nil)
	}
	l.detach(c)
}

// socketDeadline is deadline for an open WebSocket.
func (l *loop) socketDeadline(c *httpConn) int64 {
	ws := c.ws
	switch {
	case c.Writing(): // which has its own
		return l.now() + l.keepAlive
	case ws.ends() || ws.pinged && !c.stopped:
		return ws.due
	case l.cfg.WebSocketPing <= 0:
		return l.now() + l.keepAlive
	case c.stopped: // it is the handler that is waited for
		return l.now() + int64(l.cfg.WebSocketPing)
	}
	return c.Stamp + tickLength + int64(l.cfg.WebSocketPing)
}

// socketExpired is expired for an open WebSocket: a ping is due, or an answer.
func (l *loop) socketExpired(c *httpConn) {
	ws := c.ws
	switch {
	case ws.closing && c.stopped: // the handler has not taken what the client sent before
		l.tellAway(c)
		l.resumeReading(c)
		l.leaveSocket(c)
		return
	case ws.closing:
		c.Close("the close frame was not answered")
		return
	case ws.over != nil:
		l.endSocket(c)
		return
	case ws.pinged:
		l.logClient(c, nil, loglevel.Info, "WebSocket: no answer to a ping within %v", l.cfg.WebSocketPingTimeout)
		ws.over = &websocket.Error{Code: websocket.InternalError, Text: "no answer to a ping"}
		l.endSocket(c)
		return
	}
	l.control(c, websocket.AppendFrame(nil, websocket.Ping, nil))
	c.Stamp = l.now()
	if l.cfg.WebSocketPingTimeout > 0 {
		ws.pinged, ws.due = true, l.in(l.cfg.WebSocketPingTimeout)
	}
	c.Schedule()
}
