package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
)

func (s *Server) Subscribers() *live.Subscribers { return s.loop.subscribers }

// HoldHistory keeps all events and messages to groups for the duration d, within the memory limit of the history. A
// server that will take over clients of another process must keep events and messages until these clients have arrived.
// HoldHistory must not be called on the loop.
func (s *Server) HoldHistory(d time.Duration) {
	s.do(func() {
		s.loop.subscribers.Hold(d)
		s.loop.sockets.Hold(d)
	})
}

// TakePublished moves all events and messages that were published so far to their channels and groups. Clients that
// subscribe later do not receive these events and messages. TakePublished must not be called on the loop.
func (s *Server) TakePublished() {
	s.do(func() {
		s.loop.subscribers.Take()
		s.loop.sockets.Take()
	})
}

func (l *loop) giveEvents() {
	l.flushBatch()
	l.subscribers.Turn()
	l.sockets.Turn()
	l.conns.Flush()
	if l.app.Due { // the handlers of closed WebSockets must be notified
		l.flushBatch()
	}
}

func (l *loop) Do(f func()) { l.s.do(f) }

func (s *Server) Sockets() *live.Sockets { return s.loop.sockets }

// ChangeGroup makes a WebSocket join or leave a group. ChangeGroup does nothing if the WebSocket has ended, and must be
// called on the loop.
func (s *Server) ChangeGroup(t exchange.Ticket, group string, joins bool) {
	x := s.loop.app.Exchange(t)
	if x == nil {
		return
	}
	switch socket, open := x.Carrier.(*live.Socket); {
	case !open:
	case joins:
		socket.Join(group)
	default:
		socket.Leave(group)
	}
}

// offer prepares a change of protocol, for example to WebSocket, if x asks for a protocol that m supports (see
// exchange.Server.Init).
func (l *loop) offer(x *exchange.Exchange, m *exchange.Mount) bool {
	if m.Upgrades == exchange.ToMessages {
		return l.sockets.Offer(x, m.Group)
	}
	return l.tunnels.Offer(x, m.Upgrades == exchange.ToDescriptor)
}
