package runtime

import (
	"cmp"
	"net"
	"runtime/debug"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1conn"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
)

// Accept starts to accept connections on ln, unless it does so already. The server owns ln from now on. Call it after Serve;
// after Shutdown or Retire it only closes ln. It is safe for concurrent use.
func (s *Server) Accept(ln *conn.Listener) { s.loop.accepting.Accept(ln) }

// Unlisten ends accepting on ln, and closes it before it returns. It must not be called on the loop.
func (s *Server) Unlisten(ln *conn.Listener) {
	s.do(func() { s.loop.accepting.Unlisten(ln) })
}

// StopAccepting ends accepting at once, and closes the listeners as soon as the loop can. Shutdown and Retire begin
// with it. It is safe for concurrent use.
func (s *Server) StopAccepting() { s.loop.accepting.Stop(false) }

// Room implements conn.AcceptLoop. At the limit of clients, the connection that has been idle for longest closes for the next client.
func (l *loop) Room(ln *conn.Listener) bool {
	scarce := !l.sites.HasRoom()
	if (scarce || l.accepting.Full()) && ln.Queued() {
		l.conns.CloseIdlest()
		scarce = scarce && !l.sites.HasRoom()
	}
	if scarce && !l.accepting.Full() {
		return false
	}
	return !ln.Secure || l.secure.Room() || ln.Queued() && l.secure.MakeRoom()
}

// Accepted implements conn.AcceptLoop.
func (l *loop) Accepted(ln *conn.Listener, fd int, local, remote net.Addr, v conn.Verdict) {
	c := l.http1.NewClient(fd, local, remote, v != conn.Reject)
	switch {
	case v == conn.Reject && ln.Secure:
		l.reject(c, nil) // a handshake would cost more than the answer
		return
	case v == conn.Reject:
		l.reject(c, conn.ServiceUnavailable)
		return
	case ln.Secure:
		c.AwaitTLS()
	}
	l.Open(c)
	if c.State() == http1conn.StateNew {
		c.Expected = l.accepting.Expect()
	}
}

// reject sends its last bytes, if there are any, to a client that is not served, and closes its connection when the client does, or soon.
func (l *loop) reject(c *http1conn.Conn, last []byte) {
	c.Counts = conn.Reject
	l.Open(c)
	if !c.IsClosed() {
		_, _ = conn.Send(c.Fd(), last, 0) // an empty socket takes it
		c.Dismiss()
	}
}

// What sources that run applications, and the cache in front of them, need of the server.

func (l *loop) Occupied(n int) { l.accepting.Occupied(n) }

// Recover logs a panic beside the loop's callbacks, and ends the work that it interrupted.
func (l *loop) Recover() {
	if p := recover(); p != nil {
		l.recovered(nil, p, debug.Stack())
	}
}

func (l *loop) Invalidated(p cache.Pattern) {
	if l.cfg.Purged != nil {
		l.cfg.Purged(p)
	}
}

// appConfig returns the Config of the loop's Dispatcher.
func (s *Server) appConfig() app.Config {
	return app.Config{
		Limits:    &s.again,
		Take:      s.handed.Take,
		Subscribe: s.loop.subscribers.Subscribe,
		Waker:     &s.loop.wake.theirs,
		Programs:  s.cfg.Programs,
		Ask:       s.subrequest,
	}
}

// source returns what answers at a mount with a Handler. unbounded reports whether its responses may have any size before the
// loop knows: only the handler of the application waits with one for the client of another.
func (s *Server) source(m *exchange.Mount) (source exchange.Source, unbounded bool) {
	o := app.Options{Timeout: max(0, cmp.Or(m.Timeout(), s.cfg.Timeout))}
	if m.Asks && m.Receives == nil {
		o.Timeout = 0
	}
	_, o.Main = m.Handler.(app.Interpreter)
	if s.cfg.Accept.Concurrency > 0 {
		o.Occupies = m.Occupies
	}
	source = s.loop.app.Source(m.Handler, o)
	if r := m.Receives; r != nil {
		return s.loop.app.Receiving(r, source), true
	}
	if rule, kept := m.Cache.(*cache.Compiled); kept && s.loop.pages != nil {
		return s.loop.pages.Source(rule, source), true
	}
	return source, !o.Main
}

func (l *loop) Arrived(c *exchange.Client) {
	l.accepting.Arrived(c.Expected)
	c.Expected = 0
}

func (l *loop) Gone(c *exchange.Client) {
	if l.conns.Debug >= 1 {
		l.conns.Log(logfile.Debug, "%s disconnected, %d open", c, l.live.Load()-1)
	}
	l.makeRoom(c.Counts)
}

// SetOverridePage answers every request of a browser, that is one whose Accept names
// text/html, with page, an HTML document in UTF-8, and status; nothing is to
// keep it. Other requests go where they always do. A page of nil ends this.
// With local, only requests for http1.LocalHost get it.
//
// Any goroutine but the loop's may call it; requests that come after it has
// been carried out get the page, which is not waited for. The page must not
// be changed afterwards.
func (s *Server) SetOverridePage(status int, page []byte, local bool) {
	s.loop.post(func() { s.loop.sites.Override(status, page, local) })
}

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
func (l *loop) Full() bool  { return l.accepting.Full() }

func (l *loop) Freed() { l.accepting.Resume() }

func (l *loop) Count(n int) {
	if n < 0 {
		l.makeRoom(conn.Take)
		return
	}
	l.connectionOpened()
	l.accepting.Opened(conn.Take)
}

func (l *loop) Resume(d *exchange.SocketState, fd int) (exchange.Socket, error) {
	return l.http1.ResumeSocket(d, fd)
}

func (l *loop) Dismiss(fd int, last []byte) {
	l.reject(l.http1.NewClient(fd, &net.UnixAddr{}, &net.UnixAddr{}, false), last)
}

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
