package live

import "fapws/runtime/websocket"

// Close returns the close frame to send behind what the handler has sent, and notes that it is sent.
func (s *session) Close(code uint16, reason string) []byte {
	if s.broken != nil {
		code, reason = s.broken.Code, s.broken.Text
	}
	s.closing = true
	s.awaitClose()
	s.link.Schedule()
	if s.link.Stopped() && s.away == 0 { // for want of credit; now only the client's close frame counts
		s.link.Continue()
	}
	return websocket.AppendClose(nil, code, []byte(reason))
}

// awaitClose gives the client time to answer the close frame.
func (s *session) awaitClose() {
	s.due = s.in(closeTimeout)
	if s.away != 0 {
		s.due = s.in(awayTimeout)
	}
}

// Refuse closes a WebSocket that no handler has.
func (s *session) Refuse(code uint16) { s.control(s.Close(code, "")) }

// Answered is called when the handler's last frame was sent: a WebSocket that its client has closed ends then.
func (s *session) Answered() {
	if s.closing && s.broken != nil && s.link.Here() {
		s.link.Linger()
	}
}

// Tell tells the handler, once, that its WebSocket is closed.
func (s *session) Tell(code uint16, reason []byte) {
	if !s.told {
		s.told = true
		s.link.Closed(code, reason)
	}
}

// closed is for a close frame. What the client has sent before may still be answered:
// the frame is answered when the handler has ended, or soon.
func (s *session) closed(m *websocket.Message) {
	s.broken = &websocket.Error{Code: m.Code}
	if s.link.Active() && s.away == 0 {
		s.link.EndsWell()
	}
	s.closeAfterHandler(m.Code, m.Data)
}

// closeAfterHandler tells the handler that nothing more comes, and ends the WebSocket when
// it has ended, or soon.
func (s *session) closeAfterHandler(code uint16, reason []byte) {
	if !s.link.Active() || s.away != 0 { // the handler ended, or the server ends it
		s.end()
		return
	}
	if !s.link.Ending() {
		s.Tell(code, reason)
	}
	if s.closing {
		s.end()
		return
	}
	s.due = s.in(handlerGrace)
	s.link.Schedule()
}

// end answers what s.broken says, if that was not done, and ends the connection
// when all that was sent is out. What the client still sends is thrown away. A handler that
// has not ended is cancelled, though it was told of a close frame: it may do nothing but send.
func (s *session) end() {
	s.TellAway()
	if !s.closing {
		s.control(s.Close(0, ""))
	}
	s.link.Cancel()
	s.link.Linger()
}

// GoAway closes a WebSocket because the server stops (websocket.GoingAway) or is replaced (websocket.ServiceRestart; RFC 6455
// §7.4.1, IANA): browsers then connect again. Messages that cross the close
// frame on their way still reach the handler: it is told of the end (TellAway) when the
// client has answered the frame, behind all that it has sent.
func (s *session) GoAway(code uint16) {
	switch {
	case s.closing:
		s.due = min(s.due, s.in(awayTimeout))
		s.link.Schedule()
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
	if s.away == 0 || !s.link.Active() {
		return
	}
	if !s.link.Ending() {
		s.Tell(s.away, nil)
	}
	s.link.Detach()
}
