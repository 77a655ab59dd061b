package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
)

// Subscribers returns the subscribers of the server's channels.
func (s *Server) Subscribers() *live.Subscribers { return s.loop.subscribers }

// HoldHistory lets no event and no message to a group be forgotten for a while, except what exceeds the limit
// of all of them together. A server that is to import clients needs it from when it is told
// of events until then. It must not be called on the loop.
func (s *Server) HoldHistory(d time.Duration) {
	s.do(func() {
		s.loop.subscribers.Hold(d)
		s.loop.sockets.Hold(d)
	})
}

// TakePublished takes the published events and messages: for clients that subscribe from now on they are past. It must not be called on the loop.
func (s *Server) TakePublished() {
	s.do(func() {
		s.loop.subscribers.Take()
		s.loop.sockets.Take()
	})
}

// giveEvents sends published events, and messages to groups, now that all others have had their turn.
func (l *loop) giveEvents() {
	l.flushBatch()
	l.subscribers.Turn()
	l.sockets.Turn()
	l.conns.Flush()
	if l.app.Due { // handlers are to be told of WebSockets that were closed
		l.flushBatch()
	}
}

func (l *loop) Do(f func()) { l.s.do(f) }

// Sockets returns the WebSockets of the server.
func (s *Server) Sockets() *live.Sockets { return s.loop.sockets }

// ChangeGroup has a WebSocket join or leave a group; nothing happens if it has ended. It must be called on the loop.
func (s *Server) ChangeGroup(t exchange.Ticket, group string, joins bool) {
	x := s.loop.app.Exchange(t)
	if x == nil {
		return
	}
	switch socket, open := x.Socket.(*live.Socket); {
	case !open:
	case joins:
		socket.Join(group)
	default:
		socket.Leave(group)
	}
}
