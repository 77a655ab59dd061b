package runtime

import (
	"cmp"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
)

func (s *Server) appConfig() app.Config {
	return app.Config{
		Limits:    &s.again,
		Take:      s.handed.Take,
		Subscribe: s.loop.subscribers.Subscribe,
		Waker:     &s.loop.wake.theirs,
		Programs:  s.cfg.Programs,

		HTTP1Hints: s.cfg.Sites.HTTP1Hints,
	}
}

// source returns the source for a mount with a Handler. unbounded is true if the handler may produce a response of any
// size without waiting for the client. The application's handler is not unbounded: it waits while too many bytes wait
// for clients.
func (s *Server) source(m *exchange.Mount) (source exchange.Source, unbounded bool) {
	o := app.Options{Timeout: max(0, cmp.Or(m.Timeout(), s.cfg.Timeout))}
	if m.Asks && m.Receives == nil {
		o.Timeout = 0
	}
	_, o.Main = m.Handler.(app.Interpreter)
	if s.cfg.Accept.Concurrency > 0 {
		o.Occupies = m.Occupies
	}
	if m.Receives == nil {
		o.Hints = m.Hints()
	}
	if source = s.loop.app.Source(m.Handler, o); m.Gate != nil {
		source = m.Gate(source)
	}
	if r := m.Receives; r != nil {
		return s.loop.app.Receiving(r, source), true
	}
	if m.Cache != nil {
		cached := m.Cache(source)
		return cached, cached != source || !o.Main
	}
	return source, !o.Main
}

// Cached returns a Source that keeps the responses of source by rule, or source itself if Config.CacheSize is 0. Cached
// may be called on any goroutine.
func (s *Server) Cached(rule *cache.Compiled, source exchange.Source) exchange.Source {
	if s.loop.pages == nil {
		return source
	}
	return s.loop.pages.Source(rule, source)
}

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

// The following methods implement app.Loop and live.Loop, and are passed to packages cache and exchange.

func (l *loop) Occupied(n int) { l.accepting.Occupied(n) }

// Recover logs a panic that did not occur in a callback of the loop, and ends the interrupted work.
func (l *loop) Recover() {
	if p := recover(); p != nil {
		l.recovered(nil, p)
	}
}

func (l *loop) Do(f func()) { l.s.do(f) }

func (l *loop) AfterPoll(f func()) { l.conns.Events.AfterPoll(f) }

func (l *loop) invalidated(p cache.Pattern) {
	if l.cfg.Purged != nil {
		l.cfg.Purged(p)
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
