package live

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/websocket"
)

// websocketLink is the connection of a session, and the handler that gets its messages. Times are those of the event loop, in nanoseconds.
type websocketLink interface {
	Write(frame []byte) // sends a control frame behind all that was sent before; not while Writing
	Writing() bool      // earlier output waits until the client takes it: Free is called when it has
	Stopped() bool      // it is not read from, because the handler has enough
	Continue()          // reads on, though the handler may have enough
	Here() bool         // it still carries this WebSocket
	Linger()            // ends it when all that was sent is out; what the client still sends is thrown away
	Close(why string)   // ends it at once

	Now() int64                 // the time, up to a tick late
	Clock() int64               // the exact time
	Heard() int64               // when something last came from the client, or a ping was sent: see SetHeard
	SetHeard()                  // it was now
	Schedule()                  // Deadline has changed
	Report(line string)         // logs a line about the client
	Limits() (ping, pong int64) // how long the client may be silent, and may take to answer a ping; 0 or less: any time

	Active() bool                             // the handler has not ended, nor been given up
	Ending() bool                             // the last part of the handler's answer waits to be sent
	Message(op websocket.Opcode, data []byte) // gives the handler, which is Active, a message; data is valid until it returns
	Closed(code uint16, reason []byte)        // tells the handler that the WebSocket is closed
	EndsWell()                                // the access log need not call the request aborted
	Detach()                                  // gives the handler up: parts that it still sends are thrown away
	Cancel()                                  // ends the handler
}

// session is the protocol of a WebSocket. Its zero value with a decoder and a link is one without a message.
type session struct {
	link    websocketLink
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

// Closing reports whether a close frame was sent: no message may follow it.
func (s *session) Closing() bool { return s.closing }

// Broken reports whether the client has closed the WebSocket or broken the protocol: no message of it counts any more.
func (s *session) Broken() bool { return s.broken != nil }

// Ends reports whether the client is only expected to close.
func (s *session) Ends() bool { return s.closing || s.broken != nil }

// Input takes frames from the front of data, as far as the handler has room for their messages, and returns how many bytes it has used.
func (s *session) Input(data []byte) (used int) {
	for used < len(data) && s.link.Here() && s.broken == nil && !s.link.Stopped() {
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
		s.link.SetHeard()
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
		if !s.link.Active() || s.told || s.closing && s.away == 0 { // RFC 6455 §1.4: the handler has ended, or closed it
			return
		}
		s.link.Message(m.Op, m.Data)
	}
}

// control sends a control frame. While the connection writes, it waits; of several only the
// last is kept, which is allowed of pongs (RFC 6455 §5.5.3) and right for others.
func (s *session) control(frame []byte) {
	if s.link.Writing() {
		s.after = frame
		return
	}
	s.link.Write(frame)
}

// Free sends the control frame that has waited until the connection does not write.
func (s *session) Free() {
	if len(s.after) > 0 {
		s.link.Write(s.after)
		s.after = nil
	}
	if s.closing {
		s.awaitClose()
	}
	if s.link.Here() {
		s.link.Schedule()
	}
}

// in returns the time after d. Unlike Conn.Now, it is not late.
func (s *session) in(d time.Duration) int64 { return s.link.Clock() + int64(d) }

// fail ends a WebSocket whose client breaks the protocol. The handler hears that
// it is gone, behind all that came before: it may answer that, as after a close frame.
func (s *session) fail(err error) {
	e := &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	errors.As(err, &e)
	s.link.Report("WebSocket: " + e.Text)
	s.broken = e
	s.closeAfterHandler(websocket.Abnormal, nil)
}

// websocketLookAgain is how much later a session that waits for nothing asks for its deadline again, in nanoseconds.
const websocketLookAgain = int64(time.Minute)

// deadline returns when Expired has to be called, unless something comes before.
func (s *session) Deadline() int64 {
	ping, _ := s.link.Limits()
	switch {
	case s.link.Writing(): // which has its own deadline
		return s.link.Now() + websocketLookAgain
	case s.Ends() || s.pinged && !s.link.Stopped():
		return s.due
	case ping <= 0:
		return s.link.Now() + websocketLookAgain
	case s.link.Stopped(): // the handler is what the client waits for
		return s.link.Now() + ping
	}
	return s.link.Heard() + eventloop.Tick + ping
}

// Expired is called when Deadline has passed: a ping is due, or an answer.
func (s *session) Expired() {
	_, pong := s.link.Limits()
	switch {
	case s.closing && s.link.Stopped(): // the handler has not taken what the client sent before
		s.TellAway()
		s.link.Continue()
		s.link.Linger()
		return
	case s.closing:
		s.link.Close("the close frame was not answered")
		return
	case s.broken != nil:
		s.end()
		return
	case s.pinged:
		s.link.Report(fmt.Sprintf("WebSocket: no response to a ping within %v", time.Duration(pong)))
		s.broken = &websocket.Error{Code: websocket.InternalError, Text: "no response to a ping"}
		s.end()
		return
	}
	s.control(websocket.AppendFrame(nil, websocket.Ping, nil))
	s.link.SetHeard()
	if pong > 0 {
		s.pinged, s.due = true, s.in(time.Duration(pong))
	}
	s.link.Schedule()
}

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
