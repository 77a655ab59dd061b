package runtime

import (
	"errors"

	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// frames is received for an open WebSocket. Of what has arrived it takes as much as
// the handler has room for (credit.go); the rest is kept, and the connection is not
// read meanwhile.
func (l *loop) frames(c *conn, data []byte) {
	ws := c.ws
	if len(data) > 0 {
		c.stamp = l.now
		ws.pinged = false // whatever came, the client is alive
	}
	kept := len(c.in) > 0
	if kept {
		l.keep(c, data)
		data = c.pending()
	}
	n := 0
	for n < len(data) && c.state == stateSocket && !c.stopped {
		m, used, err := ws.decoder.Next(data[n:])
		n += used
		if err == websocket.ErrNeedMore {
			break
		}
		if err != nil {
			l.socketBroken(c, err)
			break
		}
		l.message(c, &m)
	}
	if x := c.first; x != nil && x.log != nil {
		x.log.WireIn += int64(n)
	}
	if c.state != stateSocket {
		if c.state != stateClosed {
			l.dropInput(c)
		}
		return
	}
	if !kept {
		l.keep(c, data[n:])
	} else if c.off += n; c.off >= len(c.in) {
		l.dropInput(c)
	}
	switch {
	case c.g == nil: // it had shut down its side before it got its 101
		l.flush()
		l.close(c, "the client has shut down its side")
	case c.paused && !c.stopped:
		l.unpause(c)
	}
}

// message takes a message, or a control frame.
func (l *loop) message(c *conn, m *websocket.Message) {
	ws := c.ws
	switch m.Op {
	case websocket.Ping:
		if !ws.closing {
			l.control(c, websocket.AppendFrame(nil, websocket.Pong, m.Data))
		}
	case websocket.Pong:
	case websocket.Close:
		l.socketClosed(c, m)
	default:
		x := c.first
		if x == nil || ws.closing { // RFC 6455 §1.4: it is of no use any more
			return
		}
		l.input = exchange.Input{Ticket: x.ticket, Op: exchange.OpBinary, Data: m.Data}
		if m.Op == websocket.Text {
			l.input.Op = exchange.OpText
		}
		l.gather.taken++
		l.handIn(x)
	}
}

// control sends a control frame. While a transfer writes, it waits; of several only the
// last is kept, which is allowed of pongs (RFC 6455 §5.5.3) and right for others.
func (l *loop) control(c *conn, frame []byte) {
	if c.first != nil {
		c.first.sent += int64(len(frame))
	}
	if c.transfer != nil {
		c.ws.after = frame
		return
	}
	l.use(c)
	l.out.buf = append(l.out.buf, frame...)
}

// socketFree sends the control frame that has waited for the transfer that has ended.
func (l *loop) socketFree(c *conn) {
	ws := c.ws
	if len(ws.after) > 0 {
		l.use(c)
		l.out.buf = append(l.out.buf, ws.after...)
		ws.after = nil
	}
	if ws.closing {
		ws.due = l.now + int64(closeTimeout)
	}
}

// socketClosed is for a close frame, which is answered if it is none itself.
func (l *loop) socketClosed(c *conn, m *websocket.Message) {
	if !c.ws.closing {
		l.control(c, l.closing(c, m.Code, nil))
	}
	if c.first != nil {
		l.detach(c, m.Code, m.Data)
	}
	l.leaveSocket(c)
}

// socketBroken ends a WebSocket whose client does what it may not.
func (l *loop) socketBroken(c *conn, err error) {
	var e *websocket.Error
	if !errors.As(err, &e) {
		e = &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	}
	var r *rules
	if c.first != nil {
		r = c.first.rules
	}
	l.blame(c, r, LevelInfo, "WebSocket: %s", e.Text)
	l.breakSocket(c, e.Code, e.Text)
}
