package websocket

import (
	"errors"
	"time"

	"fapws/runtime/websocket"
)

// Conn is the connection of a Socket. Times are those of the event loop, in nanoseconds.
type Conn interface {
	Write(frame []byte) // sends a control frame behind all that was sent before; not while Writing
	Writing() bool      // what was sent before waits until the client takes it: Free is called when it has
	Stopped() bool      // it is not read from, because the handler has enough
	Continue()          // reads on, though the handler may have enough
	Here() bool         // it still carries this WebSocket
	Linger()            // ends it when all that was sent is out; what the client still sends is thrown away
	Close(why string)   // ends it at once

	Now() int64                 // the time, up to a tick late
	Clock() int64               // the exact time
	Idle() int64                // how long a connection without pings may be silent, from now
	Heard() int64               // when something last came from the client, or a ping was sent: see SetHeard
	SetHeard()                  // it was now
	Schedule()                  // Deadline has changed
	Report(line string)         // logs a line about the client
	Limits() (ping, pong int64) // how long the client may be silent, and may take to answer a ping; 0 or less: any time
}

// Handler is what the messages of a Socket are for. It takes no more of them when it has ended.
type Handler interface {
	Active() bool                             // it has not ended, nor been given up
	Ending() bool                             // the last part of its answer waits to be sent
	Message(op websocket.Opcode, data []byte) // data is valid until it returns
	Closed(code uint16, reason []byte)        // nothing more comes
	EndsWell()                                // the access log need not call the request aborted
	Detach()                                  // what it still sends is thrown away
	Cancel()                                  // ends it
}

// Socket is the protocol's state of a WebSocket. Its zero value with a Decoder, Conn and Handler is one without a message.
type Socket struct {
	Conn    Conn
	Handler Handler
	Decoder websocket.Decoder

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

	// handlerGrace is how long a handler may take to end when its client has closed a
	// WebSocket, or broken the protocol.
	handlerGrace = time.Second
)

// Closing reports whether a close frame was sent: no message may follow it.
func (s *Socket) Closing() bool { return s.closing }

// Broken reports whether the client has closed the WebSocket or broken the protocol: no message of it counts any more.
func (s *Socket) Broken() bool { return s.broken != nil }

// Ends reports whether the client is only expected to close.
func (s *Socket) Ends() bool { return s.closing || s.broken != nil }

// Input takes frames from the front of data, as far as the handler has room for their messages, and returns how many bytes it has used.
func (s *Socket) Input(data []byte) (used int) {
	for used < len(data) && s.Conn.Here() && s.broken == nil && !s.Conn.Stopped() {
		m, n, err := s.Decoder.Next(data[used:])
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
		s.Conn.SetHeard()
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
		s.closed(m)
	default:
		if !s.Handler.Active() || s.told || s.closing && s.away == 0 { // RFC 6455 §1.4: the handler has ended, or closed it
			return
		}
		s.Handler.Message(m.Op, m.Data)
	}
}

// control sends a control frame. While the connection writes, it waits; of several only the
// last is kept, which is allowed of pongs (RFC 6455 §5.5.3) and right for others.
func (s *Socket) control(frame []byte) {
	if s.Conn.Writing() {
		s.after = frame
		return
	}
	s.Conn.Write(frame)
}

// Free sends the control frame that has waited until the connection does not write.
func (s *Socket) Free() {
	if len(s.after) > 0 {
		s.Conn.Write(s.after)
		s.after = nil
	}
	if s.closing {
		s.due = s.in(closeTimeout)
	}
	if s.Conn.Here() {
		s.Conn.Schedule()
	}
}

// in returns the time after d. Unlike Conn.Now, it is not late.
func (s *Socket) in(d time.Duration) int64 { return s.Conn.Clock() + int64(d) }

// fail ends a WebSocket whose client breaks the protocol. The handler hears that
// it is gone, behind all that came before: it may answer that, as after a close frame.
func (s *Socket) fail(err error) {
	e := &websocket.Error{Code: websocket.InternalError, Text: err.Error()}
	errors.As(err, &e)
	s.Conn.Report("WebSocket: " + e.Text)
	s.broken = e
	s.closeAfterHandler(websocket.Abnormal, nil)
}
