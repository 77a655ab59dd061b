package runtime

import (
	"errors"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/websocket"
)

// frames is received for an open WebSocket. Of what has arrived it takes as much as
// the handler has room for (credit.go); the rest is kept, and the connection is not
// read meanwhile.
func (l *loop) frames(c *httpConn, data []byte) {
	ws := c.ws
	if ws.over != nil {
		return
	}
	if ws.handing { // what has arrived goes along
		l.keep(c, data)
		return
	}
	kept := len(c.Pending()) > 0
	if kept {
		l.keep(c, data)
		data = c.Pending()
	}
	n := 0
	for n < len(data) && c.state == stateSocket && ws.over == nil && !c.stopped {
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
	if n > 0 {
		c.Stamp, ws.pinged = l.now(), false // whatever came, the client is alive
	}
	if x := c.first; x != nil && x.log != nil {
		x.log.WireIn += int64(n)
	}
	if c.state == stateClosed {
		return
	}
	if c.state != stateSocket || ws.over != nil {
		c.DropInput()
		return
	}
	if !kept {
		l.keep(c, data[n:])
	} else {
		c.Consume(n)
	}
	switch {
	case c.Half(): // it had shut down its side before it got its 101
		l.conns.Flush()
		c.Close("the client has shut down its side")
	case c.Paused() && !c.stopped:
		c.Unpause()
	}
}

// message takes a message, or a control frame.
func (l *loop) message(c *httpConn, m *websocket.Message) {
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
		if x == nil || ws.told || ws.closing && ws.away == 0 { // RFC 6455 §1.4: the handler has ended, or closed it
			return
		}
		op := exchange.OpBinary
		if m.Op == websocket.Text {
			op = exchange.OpText
		}
		l.taken++
		l.deliverInput(x, exchange.Input{Op: op, Data: m.Data})
	}
}

// control sends a control frame. While a transfer writes, it waits; of several only the
// last is kept, which is allowed of pongs (RFC 6455 §5.5.3) and right for others.
func (l *loop) control(c *httpConn, frame []byte) {
	if c.first != nil {
		c.first.sent += int64(len(frame))
	}
	if c.Writing() {
		c.ws.after = frame
		return
	}
	c.Use()
	l.conns.Buf = append(l.conns.Buf, frame...)
}

// socketFree sends the control frame that has waited for the transfer that has ended.
func (l *loop) socketFree(c *httpConn) {
	ws := c.ws
	if len(ws.after) > 0 {
		c.Use()
		l.conns.Buf = append(l.conns.Buf, ws.after...)
		ws.after = nil
	}
	if ws.closing {
		ws.due = l.in(closeTimeout)
	}
	if c.state == stateSocket {
		c.Schedule()
	}
}

// socketClosed is for a close frame. What the client has sent before may still be answered:
// the frame is answered when the handler has ended, or soon.
func (l *loop) socketClosed(c *httpConn, m *websocket.Message) {
	c.ws.over = &websocket.Error{Code: m.Code}
	if x := c.first; x != nil && c.ws.away == 0 {
		x.proper = true
	}
	l.closeAfterHandler(c, m.Code, m.Data)
}

// socketBroken ends a WebSocket whose client does what it may not. The handler hears that
// it is gone, behind all that came before: it may answer that, as after a close frame.
func (l *loop) socketBroken(c *httpConn, err error) {
	e := &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	errors.As(err, &e)
	var r *rules
	x := c.first
	if x != nil {
		r = x.rules
	}
	l.logClient(c, r, loglevel.Info, "WebSocket: %s", e.Text)
	c.ws.over = e
	l.closeAfterHandler(c, websocket.Abnormal, nil)
}

// closeAfterHandler tells the handler of c that nothing more comes, and ends the WebSocket when
// it has ended, or soon.
func (l *loop) closeAfterHandler(c *httpConn, code uint16, reason []byte) {
	ws, x := c.ws, c.first
	if x == nil || ws.away != 0 { // the handler ended, or the server ends it
		l.endSocket(c)
		return
	}
	if n := len(x.held); n == 0 || !x.held[n-1].Last {
		l.tellClosed(x, code, reason)
	}
	if ws.closing {
		l.endSocket(c)
		return
	}
	ws.due = l.in(handlerGrace)
	c.Schedule()
}
