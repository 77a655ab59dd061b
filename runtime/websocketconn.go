package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/websocket"
)

// socketConn is the connection of a WebSocket as its protocol needs it. It implements websocket.Conn of the package protocol/websocket.
type socketConn struct{ c *httpConn }

// Write counts the frame for the access log as long as the exchange is there.
func (s socketConn) Write(frame []byte) {
	l := s.c.l
	if x := s.c.first; x != nil {
		x.sent += int64(len(frame))
	}
	s.c.Use()
	l.conns.Buf = append(l.conns.Buf, frame...)
}

func (s socketConn) Writing() bool { return s.c.Writing() }
func (s socketConn) Stopped() bool { return s.c.stopped }
func (s socketConn) Continue()     { s.c.resumeReading() }
func (s socketConn) Here() bool    { return s.c.state == stateSocket }

func (s socketConn) Linger() {
	s.c.Linger = true
	s.c.setState(stateEnding)
	s.c.settle()
}

func (s socketConn) Close(why string) { s.c.Close(why) }
func (s socketConn) Now() int64       { return s.c.l.now() }
func (s socketConn) Clock() int64     { return s.c.l.in(0) }
func (s socketConn) Idle() int64      { return s.c.l.keepAlive }
func (s socketConn) Heard() int64     { return s.c.Stamp }
func (s socketConn) SetHeard()        { s.c.Stamp = s.c.l.now() }
func (s socketConn) Schedule()        { s.c.Schedule() }

func (s socketConn) Limits() (ping, pong int64) {
	cfg := s.c.l.cfg
	return int64(cfg.WebSocketPing), int64(cfg.WebSocketPingTimeout)
}

func (s socketConn) Report(line string) {
	var r *rules
	if x := s.c.first; x != nil {
		r = x.rules
	}
	s.c.l.logClient(s.c, r, loglevel.Info, "%s", line)
}

// in returns the loop's time after d. Unlike l.now, it is not late.
func (l *loop) in(d time.Duration) int64 { return int64(time.Since(l.conns.Start()) + d) }

// socketHandler is the exchange of a WebSocket as its protocol needs it, the only one of its connection. It implements
// websocket.Handler of the package protocol/websocket.
type socketHandler struct{ c *httpConn }

func (s socketHandler) Active() bool { return s.c.first != nil }
func (s socketHandler) Cancel()      { s.c.cancelAll() }
func (s socketHandler) EndsWell()    { s.c.first.proper = true }

func (s socketHandler) Ending() bool {
	held := s.c.first.held
	return len(held) > 0 && held[len(held)-1].Last
}

func (s socketHandler) Message(op websocket.Opcode, data []byte) {
	in := exchange.Input{Op: exchange.OpBinary, Data: data}
	if op == websocket.Text {
		in.Op = exchange.OpText
	}
	s.c.l.taken++
	s.c.l.deliverInput(s.c.first, in)
}

func (s socketHandler) Closed(code uint16, reason []byte) {
	s.c.l.tell(s.c.first, exchange.Input{Op: exchange.OpClose, Code: code, Data: reason})
}

// Detach makes exchange and connection forget each other. Parts that still come are released unseen.
func (s socketHandler) Detach() {
	x, l := s.c.first, s.c.l
	l.groups.leave(s.c.ws)
	s.c.shift()
	x.conn, x.proper = nil, true
	x.dropHeld()
}

// frames is received for an open WebSocket. Of what has arrived it takes as much as
// the handler has room for (flowcontrol.go); the rest is kept, and the connection is not
// read meanwhile.
func (l *loop) frames(c *httpConn, data []byte) {
	ws := c.ws
	if ws.Broken() {
		return
	}
	if ws.handing { // what has arrived goes along
		c.keep(data)
		return
	}
	kept := len(c.Pending()) > 0
	if kept {
		c.keep(data)
		data = c.Pending()
	}
	n := ws.Input(data)
	if x := c.first; x != nil {
		x.received += int64(n)
	}
	if c.state == stateClosed {
		return
	}
	if c.state != stateSocket || ws.Broken() {
		c.DropInput()
		return
	}
	if !kept {
		c.keep(data[n:])
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

// goAway closes the WebSocket of c because the server stops, or is replaced.
func (l *loop) goAway(c *httpConn) {
	code := uint16(websocket.ServiceRestart)
	if l.draining {
		code = websocket.GoingAway
	}
	c.ws.GoAway(code)
}
