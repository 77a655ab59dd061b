package runtime

import (
	"net"

	"fapws/runtime/conn"
	"fapws/runtime/protocol/http1"
	"fapws/runtime/sites"
	"fapws/runtime/system"
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
func (s *Server) StopAccepting() { s.loop.accepting.Stop() }

// acceptHost is the loop, as the acceptor sees it.
type acceptHost struct{ l *loop }

// Room implements conn.AcceptHost.
func (h acceptHost) Room(ln *conn.Listener) bool {
	return !ln.Secure || h.l.secure.Room() || ln.Queued() && h.l.secure.MakeRoom()
}

// Accepted implements conn.AcceptHost.
func (h acceptHost) Accepted(ln *conn.Listener, fd int, local, remote net.Addr, v conn.Verdict) {
	l := h.l
	c := l.sites.NewClient(fd, local, remote, true)
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
	l.open(c)
	if c.State() == http1.StateNew {
		c.Expected = l.accepting.Expect()
	}
}

// reject sends its last bytes, if there are any, to a client that is not served, and closes its connection when the client does, or soon.
func (l *loop) reject(c *sites.Client, last []byte) {
	c.Refuse()
	l.open(c)
	if c.State() != http1.StateClosed {
		_, _ = system.Send(c.Fd(), last, 0) // an empty socket takes it
		c.Dismiss()
	}
}
