package live

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// session is the protocol of a WebSocket. Times are those of the event loop, in nanoseconds.
type session struct {
	socket  *Socket // its connection, and the handler that gets its messages
	decoder websocket.Decoder

	broken  *websocket.Error // the client has closed it, or broken the protocol: what it is told
	closing bool             // a close frame was sent: nothing else is, from then on
	away    uint16           // its code, if the server stops or is replaced: what the client sent before it saw that is still delivered
	pinged  bool             // the client owes a sign of life
	told    bool             // the handler was told of the end
	due     int64            // when the client, or the handler, is late
	after   []byte           // a control frame that waits until the connection does not write
}

const (
	// closeTimeout is how long a client may take to answer a close frame.
	closeTimeout = 5 * time.Second

	// awayTimeout is that time when the server stops or is replaced.
	awayTimeout = 2 * time.Second

	// handlerGrace is how long a handler may take to end when its client has closed a
	// WebSocket, or broken the protocol.
	handlerGrace = time.Second
)

// Ends reports whether the client is only expected to close.
func (s *session) Ends() bool { return s.closing || s.broken != nil }

// Input takes frames from the front of data, as far as the handler has room for their messages, and returns how many bytes it has used.
func (s *session) Input(data []byte) (used int) {
	for used < len(data) && s.socket.here() && s.broken == nil && !s.socket.conn.Stopped() {
		m, n, err := s.decoder.Next(data[used:])
		used += n
		if err == websocket.ErrNeedMore {
			break
		}
		if err != nil {
			s.fail(err)
			break
		}
		s.message(&m)
	}
	if used > 0 {
		s.socket.conn.Stamp = s.socket.all.conns.Now
		s.pinged = false // whatever came, the client is alive
	}
	return used
}

// message takes a message, or a control frame.
func (s *session) message(m *websocket.Message) {
	switch m.Op {
	case websocket.Ping:
		if !s.closing {
			s.control(websocket.AppendFrame(nil, websocket.Pong, m.Data))
		}
	case websocket.Pong:
	case websocket.Close:
		s.closed(m)
	default:
		if !s.socket.active || s.told || s.closing && s.away == 0 { // RFC 6455 §1.4: the handler has ended, or closed it
			return
		}
		s.socket.deliver(m.Op, m.Data)
	}
}

// control sends a control frame. While the connection writes, it waits; of several only the
// last is kept, which is allowed of pongs (RFC 6455 §5.5.3) and right for others.
func (s *session) control(frame []byte) {
	if s.socket.conn.Writing() {
		s.after = frame
		return
	}
	s.socket.write(frame)
}

// Free sends the control frame that has waited until the connection does not write.
func (s *session) Free() {
	if len(s.after) > 0 {
		s.socket.write(s.after)
		s.after = nil
	}
	if s.closing {
		s.awaitClose()
	}
	if s.socket.here() {
		s.socket.conn.Schedule()
	}
}

// fail ends a WebSocket whose client breaks the protocol. The handler hears that
// it is gone, behind all that came before: it may answer that, as after a close frame.
func (s *session) fail(err error) {
	e := &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	errors.As(err, &e)
	s.socket.report("WebSocket: " + e.Text)
	s.broken = e
	s.closeAfterHandler(websocket.Abnormal, nil)
}

// deadline returns when Expired has to be called, unless something comes before.
func (s *session) Deadline() int64 {
	ping := int64(s.socket.all.cfg.Ping)
	switch {
	case s.socket.conn.Writing(): // which has its own deadline
		return s.socket.all.conns.Now + lookAgain
	case s.Ends() || s.pinged && !s.socket.conn.Stopped():
		return s.due
	case ping <= 0:
		return s.socket.all.conns.Now + lookAgain
	case s.socket.conn.Stopped(): // the handler is what the client waits for
		return s.socket.all.conns.Now + ping
	}
	return s.socket.conn.Stamp + eventloop.Tick + ping
}

// Expired is called when Deadline has passed: a ping is due, or an answer.
func (s *session) Expired() {
	pong := s.socket.all.cfg.PingTimeout
	switch {
	case s.closing && s.socket.conn.Stopped(): // the handler has not taken what the client sent before
		s.TellAway()
		s.socket.resumeReading()
		s.socket.linger()
		return
	case s.closing:
		s.socket.conn.Close("the close frame was not answered")
		return
	case s.broken != nil:
		s.end()
		return
	case s.pinged:
		s.socket.report(fmt.Sprintf("WebSocket: no response to a ping within %v", pong))
		s.broken = &websocket.Error{Code: websocket.InternalError, Text: "no response to a ping"}
		s.end()
		return
	}
	s.control(websocket.AppendFrame(nil, websocket.Ping, nil))
	s.socket.conn.Stamp = s.socket.all.conns.Now
	if pong > 0 {
		s.pinged, s.due = true, s.socket.all.in(pong)
	}
}

// Close returns the close frame to send behind what the handler has sent, and notes that it is sent.
func (s *session) Close(code uint16, reason string) []byte {
	if s.broken != nil {
		code, reason = s.broken.Code, s.broken.Text
	}
	s.closing = true
	s.awaitClose()
	s.socket.conn.Schedule()
	if s.socket.conn.Stopped() && s.away == 0 { // for want of credit; now only the client's close frame counts
		s.socket.resumeReading()
	}
	return websocket.AppendClose(nil, code, []byte(reason))
}

// awaitClose gives the client time to answer the close frame.
func (s *session) awaitClose() {
	s.due = s.socket.all.in(closeTimeout)
	if s.away != 0 {
		s.due = s.socket.all.in(awayTimeout)
	}
}

// Refuse closes a WebSocket that no handler has.
func (s *session) Refuse(code uint16) { s.control(s.Close(code, "")) }

// Answered is called when the handler's last frame was sent: a WebSocket that its client has closed ends then.
func (s *session) Answered() {
	if s.closing && s.broken != nil && s.socket.here() {
		s.socket.linger()
	}
}

// Tell tells the handler, once, that its WebSocket is closed.
func (s *session) Tell(code uint16, reason []byte) {
	if !s.told {
		s.told = true
		s.socket.x.Deliver(exchange.Input{Op: exchange.OpClose, Code: code, Data: reason})
	}
}

// closed is for a close frame. What the client has sent before may still be answered:
// the frame is answered when the handler has ended, or soon.
func (s *session) closed(m *websocket.Message) {
	s.broken = &websocket.Error{Code: m.Code}
	if s.socket.active && s.away == 0 {
		s.socket.proper = true
	}
	s.closeAfterHandler(m.Code, m.Data)
}

// closeAfterHandler tells the handler that nothing more comes, and ends the WebSocket when
// it has ended, or soon.
func (s *session) closeAfterHandler(code uint16, reason []byte) {
	if !s.socket.active || s.away != 0 { // the handler ended, or the server ends it
		s.end()
		return
	}
	if !s.socket.lastIsHeld() {
		s.Tell(code, reason)
	}
	if s.closing {
		s.end()
		return
	}
	s.due = s.socket.all.in(handlerGrace)
	s.socket.conn.Schedule()
}

// end answers what s.broken says, if that was not done, and ends the connection
// when all that was sent is out. What the client still sends is thrown away. A handler that
// has not ended is cancelled, though it was told of a close frame: it may do nothing but send.
func (s *session) end() {
	s.TellAway()
	if !s.closing {
		s.control(s.Close(0, ""))
	}
	s.socket.cancel()
	s.socket.linger()
}

// GoAway closes a WebSocket because the server stops (websocket.GoingAway) or is replaced (websocket.ServiceRestart; RFC 6455
// §7.4.1, IANA): browsers then connect again. Messages that cross the close
// frame on their way still reach the handler: it is told of the end (TellAway) when the
// client has answered the frame, behind all that it has sent.
func (s *session) GoAway(code uint16) {
	switch {
	case s.closing:
		s.due = min(s.due, s.socket.all.in(awayTimeout))
		s.socket.conn.Schedule()
	case s.broken != nil:
		s.end()
	default:
		s.away = code
		s.control(s.Close(code, ""))
	}
}

// TellAway tells the handler, if GoAway has closed its WebSocket, that nothing more
// comes from the client.
func (s *session) TellAway() {
	if s.away == 0 || !s.socket.active {
		return
	}
	if !s.socket.lastIsHeld() {
		s.Tell(s.away, nil)
	}
	s.socket.detach()
}
