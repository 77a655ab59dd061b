package websocket

import (
	"fmt"
	"time"

	"fapws/runtime/websocket"
	"fapws/runtime/wheel"
)

// Deadline returns when Expired has to be called, unless something comes before.
func (s *Socket) Deadline() int64 {
	ping, _ := s.Conn.Limits()
	switch {
	case s.Conn.Writing(): // which has its own deadline
		return s.Conn.Now() + s.Conn.Idle()
	case s.Ends() || s.pinged && !s.Conn.Stopped():
		return s.due
	case ping <= 0:
		return s.Conn.Now() + s.Conn.Idle()
	case s.Conn.Stopped(): // the handler is what the client waits for
		return s.Conn.Now() + ping
	}
	return s.Conn.Heard() + wheel.Tick + ping
}

// Expired is called when Deadline has passed: a ping is due, or an answer.
func (s *Socket) Expired() {
	_, pong := s.Conn.Limits()
	switch {
	case s.closing && s.Conn.Stopped(): // the handler has not taken what the client sent before
		s.TellAway()
		s.Conn.Continue()
		s.Conn.Linger()
		return
	case s.closing:
		s.Conn.Close("the close frame was not answered")
		return
	case s.broken != nil:
		s.end()
		return
	case s.pinged:
		s.Conn.Report(fmt.Sprintf("WebSocket: no answer to a ping within %v", time.Duration(pong)))
		s.broken = &websocket.Error{Code: websocket.InternalError, Text: "no answer to a ping"}
		s.end()
		return
	}
	s.control(websocket.AppendFrame(nil, websocket.Ping, nil))
	s.Conn.SetHeard()
	if pong > 0 {
		s.pinged, s.due = true, s.in(time.Duration(pong))
	}
	s.Conn.Schedule()
}
