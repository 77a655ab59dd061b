package live

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

const (
	closeTimeout = 5 * time.Second

	// awayTimeout is used instead of closeTimeout when the server stops or is replaced.
	awayTimeout = 2 * time.Second

	// handlerGrace is how long a handler may continue after its client has closed the WebSocket or violated the
	// protocol.
	handlerGrace = time.Second
)

// ignores reports whether further messages of the client must be ignored, because the handler has ended or one side has
// closed the WebSocket (RFC 6455 §1.4).
func (s *Socket) ignores() bool { return s.answer != answering || s.told || s.closing && s.away == 0 }

func (s *Socket) ends() bool { return s.closing || s.broken != nil }

// frames processes the frames at the front of data while the handler has room for messages, and returns the number of
// processed bytes.
func (s *Socket) frames(data []byte) (used int) {
	for used < len(data) && s.here() && s.broken == nil && !s.conn.Stopped() {
		s.decoder.Discard = s.ignores()
		m, n, err := s.decoder.Next(data[used:])
		used += n
		// Count an incomplete message in memory (weigh), even if a control frame arrives between its fragments.
		begun := err == websocket.ErrNeedMore || err == nil && m.Op >= websocket.Close
		if begun && !s.all.weigh(s, 0) {
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
		s.decoder.Release()
	}
	if used > 0 {
		s.conn.Stamp = s.all.conns.Now
		s.pinged = false
	}
	return used
}

func (s *Socket) message(m *websocket.Message) {
	switch m.Op {
	case websocket.Ping:
		if !s.closing {
			s.control(websocket.AppendFrame(nil, websocket.Pong, m.Data))
		}
	case websocket.Pong:
	case websocket.Close:
		// The handler may still be answering earlier messages, so the answer to the close frame is sent when the
		// handler has ended, or after a short time.
		s.broken = &websocket.Error{Code: m.Code}
		if s.answer == answering && s.away == 0 {
			s.proper = true
		}
		s.closeAfterHandler(m.Code, m.Data)
	default:
		if !s.ignores() {
			s.deliver(m.Op, m.Data)
		}
	}
}

// control sends a control frame. While the connection is still writing earlier output, control keeps the frame instead,
// but only the last one. RFC 6455 §5.5.3 permits this for pongs, and a single ping or close frame is sufficient.
func (s *Socket) control(frame []byte) {
	if s.conn.Writing() {
		s.after = frame
		return
	}
	s.write(frame)
}

// fail ends a WebSocket whose client has violated the protocol.
func (s *Socket) fail(err error) {
	e := &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	errors.As(err, &e)
	if e.Code == websocket.TooBig {
		s.all.reportTooBig(s, e)
	} else {
		s.report("WebSocket: " + e.Text)
	}
	s.broken = e
	// The client may take long to close the connection, and further WebSockets of this client need the memory.
	s.decoder.Drop()
	s.all.weigh(s, 0)
	s.closeAfterHandler(websocket.Abnormal, nil)
}

func (s *Socket) deadline() int64 {
	ping := int64(s.all.cfg.Ping)
	switch {
	case s.conn.Writing():
		return s.all.conns.Now + lookAgain
	case s.ends() || s.pinged && !s.conn.Stopped():
		return s.due
	case ping <= 0:
		return s.all.conns.Now + lookAgain
	case s.conn.Stopped():
		return s.all.conns.Now + ping
	}
	return s.conn.Stamp + eventloop.Tick + ping
}

func (s *Socket) expired() {
	pong := s.all.cfg.PingTimeout
	switch {
	// the handler had too much input, so the loop may not have read the client's close frame
	case s.closing && s.conn.Stopped():
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

// closeFrame returns the close frame that follows the handler's output, and sets s.closing, because the caller sends
// the frame at once.
func (s *Socket) closeFrame(code uint16, reason string) []byte {
	if s.broken != nil {
		code, reason = s.broken.Code, s.broken.Text
	}
	s.closing = true
	s.awaitClose()
	s.conn.Schedule()
	// reading was stopped because the handler had enough input, but the client's close frame must be read
	if s.conn.Stopped() && s.away == 0 {
		s.resumeReading()
	}
	return websocket.AppendClose(nil, code, []byte(reason))
}

func (s *Socket) awaitClose() {
	s.due = s.all.in(closeTimeout)
	if s.away != 0 {
		s.due = s.all.in(awayTimeout)
	}
}

func (s *Socket) tell(code uint16, reason []byte) {
	if !s.told {
		s.told = true
		s.x.Source.Input(s.x, exchange.Input{Op: exchange.OpClose, Code: code, Data: reason})
	}
}

// closeAfterHandler tells the handler that no further messages will arrive. The WebSocket ends when the handler has
// ended, or after handlerGrace.
func (s *Socket) closeAfterHandler(code uint16, reason []byte) {
	if s.answer != answering || s.away != 0 {
		s.end()
		return
	}
	if !s.held.EndsWithLast() {
		s.tell(code, reason)
	}
	if s.closing {
		s.end()
		return
	}
	s.due = s.all.in(handlerGrace)
	s.conn.Schedule()
}

// end sends the close frame for s.broken, unless a close frame was already sent, and ends the connection after all
// output. It discards further input, and cancels the handler, because a handler that only sends messages may not notice
// the close frame.
func (s *Socket) end() {
	s.tellAway()
	if !s.closing {
		s.control(s.closeFrame(0, ""))
	}
	s.cancel()
	s.linger()
}

// goAway closes a WebSocket because the server stops (websocket.GoingAway) or is replaced (websocket.ServiceRestart,
// RFC 6455 §7.4.1, IANA). The handler still gets messages that the client sent before the client received the close
// frame. After the client has answered the close frame, tellAway notifies the handler of the end.
func (s *Socket) goAway() {
	if s.all.spared {
		return
	}
	s.conn.Leaves = true
	switch {
	case s.closing:
		s.due = min(s.due, s.all.in(awayTimeout))
		s.conn.Schedule()
	case s.broken != nil:
		s.end()
	default:
		s.away = s.all.leaving
		s.control(s.closeFrame(s.away, ""))
	}
}

func (s *Socket) tellAway() {
	if s.away == 0 || s.answer != answering {
		return
	}
	if !s.held.EndsWithLast() {
		s.tell(s.away, nil)
	}
	s.leave()
	s.answer, s.proper = finished, true
	s.dropHeld()
}
