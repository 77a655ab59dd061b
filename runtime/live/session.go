package live

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

const (
	// closeTimeout is how long a client may take to answer a close frame.
	closeTimeout = 5 * time.Second

	// awayTimeout is that time when the server stops or is replaced.
	awayTimeout = 2 * time.Second

	// handlerGrace is how long a handler may take to end when its client has closed a
	// WebSocket, or broken the protocol.
	handlerGrace = time.Second
)

// ignores reports whether no handler gets further messages: it has ended, or has closed the WebSocket (RFC 6455 §1.4).
func (s *Socket) ignores() bool { return s.answer != answering || s.told || s.closing && s.away == 0 }

// ends reports whether the client is only expected to close.
func (s *Socket) ends() bool { return s.closing || s.broken != nil }

// frames takes frames from the front of data, as far as the handler has room for their messages, and returns how many bytes it has used.
func (s *Socket) frames(data []byte) (used int) {
	for used < len(data) && s.here() && s.broken == nil && !s.conn.Stopped() {
		s.decoder.Discard = s.ignores()
		m, n, err := s.decoder.Next(data[used:])
		used += n
		// A fragment may precede a control frame.
		begun := err == websocket.ErrNeedMore || err == nil && m.Op >= websocket.Close
		if begun && !s.weigh(0) {
			err = errShare
		}
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
		s.conn.Stamp = s.all.conns.Now
		s.pinged = false // whatever came, the client is alive
	}
	return used
}

// message takes a message, or a control frame.
func (s *Socket) message(m *websocket.Message) {
	switch m.Op {
	case websocket.Ping:
		if !s.closing {
			s.control(websocket.AppendFrame(nil, websocket.Pong, m.Data))
		}
	case websocket.Pong:
	case websocket.Close:
		s.closedByClient(m)
	default:
		if !s.ignores() {
			s.deliver(m.Op, m.Data)
		}
	}
}

// control sends a control frame. While the connection writes, it waits; of several only the
// last is kept, which is allowed of pongs (RFC 6455 §5.5.3) and right for others.
func (s *Socket) control(frame []byte) {
	if s.conn.Writing() {
		s.after = frame
		return
	}
	s.write(frame)
}

// free sends the control frame that has waited until the connection does not write.
func (s *Socket) free() {
	if len(s.after) > 0 {
		s.write(s.after)
		s.after = nil
	}
	if s.closing {
		s.awaitClose()
	}
	if s.here() {
		s.conn.Schedule()
	}
}

// fail ends a WebSocket whose client breaks the protocol. The handler hears that
// it is gone, behind all that came before: it may answer that, as after a close frame.
func (s *Socket) fail(err error) {
	e := &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	errors.As(err, &e)
	if e.Code == websocket.TooBig {
		s.reportTooBig(e)
	} else {
		s.report("WebSocket: " + e.Text)
	}
	s.broken = e
	s.closeAfterHandler(websocket.Abnormal, nil)
}

// deadline returns when expired has to be called, unless something comes before.
func (s *Socket) deadline() int64 {
	ping := int64(s.all.cfg.Ping)
	switch {
	case s.conn.Writing(): // which has its own deadline
		return s.all.conns.Now + lookAgain
	case s.ends() || s.pinged && !s.conn.Stopped():
		return s.due
	case ping <= 0:
		return s.all.conns.Now + lookAgain
	case s.conn.Stopped(): // the handler is what the client waits for
		return s.all.conns.Now + ping
	}
	return s.conn.Stamp + eventloop.Tick + ping
}

// expired is called when deadline has passed: a ping is due, or an answer.
func (s *Socket) expired() {
	pong := s.all.cfg.PingTimeout
	switch {
	case s.closing && s.conn.Stopped(): // the handler has not taken what the client sent before
		s.tellAway()
		s.resumeReading()
		s.linger()
		return
	case s.closing:
		s.conn.Close("the close frame was not answered")
		return
	case s.broken != nil:
		s.end()
		return
	case s.pinged:
		s.report(fmt.Sprintf("WebSocket: no response to a ping within %v", pong))
		s.broken = &websocket.Error{Code: websocket.InternalError, Text: "no response to a ping"}
		s.end()
		return
	}
	s.control(websocket.AppendFrame(nil, websocket.Ping, nil))
	s.conn.Stamp = s.all.conns.Now
	if pong > 0 {
		s.pinged, s.due = true, s.all.in(pong)
	}
}

// closeFrame returns the close frame to send behind what the handler has sent, and notes that it is sent.
func (s *Socket) closeFrame(code uint16, reason string) []byte {
	if s.broken != nil {
		code, reason = s.broken.Code, s.broken.Text
	}
	s.closing = true
	s.awaitClose()
	s.conn.Schedule()
	if s.conn.Stopped() && s.away == 0 { // for want of credit; now only the client's close frame counts
		s.resumeReading()
	}
	return websocket.AppendClose(nil, code, []byte(reason))
}

// awaitClose gives the client time to answer the close frame.
func (s *Socket) awaitClose() {
	s.due = s.all.in(closeTimeout)
	if s.away != 0 {
		s.due = s.all.in(awayTimeout)
	}
}

// tell tells the handler, once, that its WebSocket is closed.
func (s *Socket) tell(code uint16, reason []byte) {
	if !s.told {
		s.told = true
		s.x.Deliver(exchange.Input{Op: exchange.OpClose, Code: code, Data: reason})
	}
}

// closedByClient is for a close frame. What the client has sent before may still be answered:
// the frame is answered when the handler has ended, or soon.
func (s *Socket) closedByClient(m *websocket.Message) {
	s.broken = &websocket.Error{Code: m.Code}
	if s.answer == answering && s.away == 0 {
		s.proper = true
	}
	s.closeAfterHandler(m.Code, m.Data)
}

// closeAfterHandler tells the handler that nothing more comes, and ends the WebSocket when
// it has ended, or soon.
func (s *Socket) closeAfterHandler(code uint16, reason []byte) {
	if s.answer != answering || s.away != 0 { // the handler ended, or the server ends it
		s.end()
		return
	}
	if !s.lastIsHeld() {
		s.tell(code, reason)
	}
	if s.closing {
		s.end()
		return
	}
	s.due = s.all.in(handlerGrace)
	s.conn.Schedule()
}

// end answers what s.broken says, if that was not done, and ends the connection
// when all that was sent is out. What the client still sends is thrown away. A handler that
// has not ended is cancelled, though it was told of a close frame: it may do nothing but send.
func (s *Socket) end() {
	s.tellAway()
	if !s.closing {
		s.control(s.closeFrame(0, ""))
	}
	s.cancel()
	s.linger()
}

// goAway closes a WebSocket because the server stops (websocket.GoingAway) or is replaced (websocket.ServiceRestart; RFC 6455
// §7.4.1, IANA): browsers then connect again. Messages that cross the close
// frame on their way still reach the handler: it is told of the end (tellAway) when the
// client has answered the frame, behind all that it has sent.
func (s *Socket) goAway() {
	s.conn.Leaves = true
	switch {
	case s.closing:
		s.due = min(s.due, s.all.in(awayTimeout))
		s.conn.Schedule()
	case s.broken != nil:
		s.end()
	default:
		s.away = cmp.Or(s.all.leaving, websocket.ServiceRestart)
		s.control(s.closeFrame(s.away, ""))
	}
}

// tellAway tells the handler, if goAway has closed its WebSocket, that nothing more
// comes from the client.
func (s *Socket) tellAway() {
	if s.away == 0 || s.answer != answering {
		return
	}
	if !s.lastIsHeld() {
		s.tell(s.away, nil)
	}
	s.leave()
	s.answer, s.proper = finished, true // parts that still come are released unseen
	s.dropHeld()
}
