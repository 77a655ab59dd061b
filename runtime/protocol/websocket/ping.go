package websocket

import (
	"fmt"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/websocket"
)

// lookAgain is how much later a session that waits for nothing asks for its deadline again, in nanoseconds.
const lookAgain = int64(time.Minute)

// deadline returns when Expired has to be called, unless something comes before.
func (s *session) Deadline() int64 {
	ping, _ := s.link.Limits()
	switch {
	case s.link.Writing(): // which has its own deadline
		return s.link.Now() + lookAgain
	case s.Ends() || s.pinged && !s.link.Stopped():
		return s.due
	case ping <= 0:
		return s.link.Now() + lookAgain
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
