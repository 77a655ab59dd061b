package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// closeTimeout is how long a client may take to answer a close frame.
const closeTimeout = 5 * time.Second

// closing returns a close frame and notes that it is sent.
func (l *loop) closing(c *conn, code uint16, reason []byte) []byte {
	c.ws.closing = true
	c.ws.due = l.now + tickLength + int64(closeTimeout)
	l.schedule(c)
	return websocket.AppendClose(nil, code, reason)
}

// detach tells the handler of the WebSocket of c that it is closed, and ends that
// the two know each other. Parts that still come are released unseen.
func (l *loop) detach(c *conn, code uint16, reason []byte) {
	x := c.first
	c.shift()
	x.conn, x.proper = nil, true
	held := x.held
	x.held = held[:0]
	if n := len(held); n == 0 || !held[n-1].Last {
		l.input = exchange.Input{Ticket: x.ticket, Op: exchange.OpClose, Code: code, Data: reason}
		x.handler.(Receiver).Deliver(&l.input)
		l.submitted = true
	}
	for i := range held {
		l.release(&held[i])
	}
	clear(held)
}

// leaveSocket ends the connection when all that was sent is out. What the client still sends
// is thrown away.
func (l *loop) leaveSocket(c *conn) {
	c.linger = true
	l.setState(c, stateEnding)
	l.settle(c)
}

// breakSocket closes a WebSocket because of its client, of which the handler only
// hears that it is gone.
func (l *loop) breakSocket(c *conn, code uint16, text string) {
	if !c.ws.closing {
		l.control(c, l.closing(c, code, []byte(text)))
	}
	l.cancelAll(c)
	l.leaveSocket(c)
}

// goAway closes a WebSocket because the server stops, or is replaced (RFC 6455
// §7.4.1; 1012 is IANA's): browsers then connect again.
func (l *loop) goAway(c *conn) {
	if c.ws.closing {
		return
	}
	code := uint16(websocket.ServiceRestart)
	if l.draining {
		code = websocket.GoingAway
	}
	l.control(c, l.closing(c, code, nil))
	if c.first != nil {
		l.detach(c, code, nil)
	}
}

// socketDeadline is deadline for an open WebSocket.
func (l *loop) socketDeadline(c *conn) int64 {
	ws := c.ws
	switch {
	case c.transfer != nil: // which has its own
		return l.now + l.keepAlive
	case ws.closing || ws.pinged && !c.stopped:
		return ws.due
	case l.cfg.WebSocketPing <= 0:
		return l.now + l.keepAlive
	case c.stopped: // it is the handler that is waited for
		return l.now + int64(l.cfg.WebSocketPing)
	}
	return c.stamp + tickLength + int64(l.cfg.WebSocketPing)
}

// socketExpired is expired for an open WebSocket: a ping is due, or an answer.
func (l *loop) socketExpired(c *conn) {
	ws := c.ws
	switch {
	case ws.closing:
		l.close(c, "the close frame was not answered")
		return
	case ws.pinged:
		l.blame(c, nil, LevelInfo, "WebSocket: no answer to a ping within %v", l.cfg.WebSocketPingTimeout)
		l.breakSocket(c, websocket.InternalError, "no answer to a ping")
		return
	}
	l.control(c, websocket.AppendFrame(nil, websocket.Ping, nil))
	c.stamp = l.now
	if l.cfg.WebSocketPingTimeout > 0 {
		ws.pinged, ws.due = true, l.now+int64(l.cfg.WebSocketPingTimeout)
	}
	l.schedule(c)
}
