package runtime

import "fapws/runtime/exchange"

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

// offer prepares a change of protocol, for example to WebSocket, if x asks for a protocol that m supports (see
// exchange.Server.Init).
func (l *loop) offer(x *exchange.Exchange, m *exchange.Mount) bool {
	if m.Upgrades == exchange.ToMessages {
		return l.sockets.Offer(x, m.Group)
	}
	return l.tunnels.Offer(x, m.Upgrades == exchange.ToDescriptor)
}
