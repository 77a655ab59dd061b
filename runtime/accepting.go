package runtime

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1conn"
	"fapws/runtime/logfile"
)

// room reports whether the server can accept a connection from ln. If the limit of clients or of descriptors has been
// reached, room closes the connection that has been idle for longest, and the next tick rejects requests that have
// waited a second for a file descriptor.
func (l *loop) room(ln *conn.Listener) bool {
	scarce := !l.sites.Descriptors.HasRoom()
	if (scarce || l.accepting.Full()) && ln.Queued() {
		l.conns.CloseIdlest()
		l.sites.Descriptors.MakeRoom()
		scarce = scarce && !l.sites.Descriptors.HasRoom()
	}
	if scarce && !l.accepting.Full() {
		return false
	}
	return !ln.Secure || l.secure.HasRoom() || ln.Queued() && l.secure.MakeRoom()
}

func (l *loop) accepted(ln *conn.Listener, fd int, local, remote net.Addr, action conn.AcceptAction) {
	c, err := l.http1.NewClient(fd, local, remote, action != conn.Reject)
	if err != nil {
		l.s.logf(logfile.Error, "%v", err)
		unix.Close(fd)
		return
	}
	if ln.FromDoor() {
		c.ComesThroughDoor()
		c.BytesOnly()
	}
	text := conn.ServiceUnavailable
	if action == conn.Take && l.exceedsAddressLimit(c) {
		action, text = conn.Reject, conn.AddressCrowded
		if !l.accepting.Rejects() {
			unix.Close(fd)
			return
		}
	}
	switch {
	case action == conn.Reject && ln.Secure:
		l.reject(c, nil)
		return
	case action == conn.Reject:
		l.reject(c, text)
		return
	case ln.Secure:
		c.AwaitTLS()
	}
	l.Open(c)
	if c.State() == http1conn.StateNew {
		c.Expected = l.accepting.Expect()
	}
}

// countsForAddress reports whether c counts toward the limit AcceptConfig.MaxPerAddress.
func (l *loop) countsForAddress(c *http1conn.Conn) bool {
	return l.cfg.Accept.MaxPerAddress > 0 && c.Counts == conn.Take && !c.Subrequest() && !c.IsProxy()
}

// exceedsAddressLimit reports whether c would exceed AcceptConfig.MaxPerAddress.
func (l *loop) exceedsAddressLimit(c *http1conn.Conn) bool {
	most := int64(l.cfg.Accept.MaxPerAddress)
	if !l.countsForAddress(c) || l.addresses.Held(conn.NetworkOf(c.Remote)) < most {
		return false
	}
	if l.crowdedWarnings.Once(time.Minute) {
		l.s.logClient(logfile.Warning, c.String(),
			fmt.Sprintf("sent 503: %d connections are open from its address (--max-clients-per-address)", most))
	}
	return true
}

// reject sends last, a response that may be empty, to a client and then closes the connection. It closes a moment
// later, because otherwise a client that still sends could lose the response (RFC 9112 §9.6).
func (l *loop) reject(c *http1conn.Conn, last []byte) {
	c.Counts = conn.Reject
	l.Open(c)
	if !c.IsClosed() {
		_, _ = conn.Send(c.Fd(), last, 0)
		c.Dismiss()
	}
}

// Open adds c to the loop, which then owns the descriptor of c.
func (l *loop) Open(c *http1conn.Conn) {
	if err := c.Open(c.Speaks()); err != nil {
		l.s.logf(logfile.Error, "cannot watch %s: %v", c, err)
		return
	}
	if l.paced && conn.SameMachine(c.Local, c.Remote) {
		conn.Unpace(c.Fd())
	}
	if c.Crowds = l.countsForAddress(c); c.Crowds {
		l.addresses.Add(conn.NetworkOf(c.Remote), 1)
	}
	l.connectionOpened()
	l.accepting.Opened(c.Counts)
	c.Stamp = l.now()
	c.Schedule()
	if l.conns.Debug >= 1 {
		l.conns.Log(logfile.Debug, "%s connected, %d open", c, l.live.Load())
	}
	if l.sites.End == exchange.Draining && (!c.Subrequest() || l.shut) {
		c.Close("the server is shutting down")
	}
}

func (l *loop) connectionOpened() {
	l.sites.Descriptors.Opened(1)
	if l.live.Add(1) == 1 {
		l.clock(time.Now())
		l.timer.Reset(time.Duration(tickLength))
	}
}

func (l *loop) Arrived(c *exchange.Client) {
	l.accepting.Arrived(c.Expected)
	c.Expected = 0
}

func (l *loop) Gone(c *exchange.Client) {
	if l.conns.Debug >= 1 {
		l.conns.Log(logfile.Debug, "%s disconnected, %d open", c, l.live.Load()-1)
	}
	if c.Crowds {
		l.addresses.Add(conn.NetworkOf(c.Remote), -1)
	}
	l.connectionClosed(c.Counts)
}

// connectionClosed is called after a connection has closed.
func (l *loop) connectionClosed(action conn.AcceptAction) {
	// after the last connection has closed, ticks are needed only for handlers that can time out
	if l.live.Load() == 1 {
		l.owed.Store(int64(l.app.AwaitsPart()))
	}
	live := l.live.Add(-1)
	l.sites.Descriptors.Opened(-1)
	l.accepting.Closed(action)
	if live > 0 {
		return
	}
	l.http1.Trim()
	l.sites.Trim()
	l.secure.Trim()
	l.conns.Trim()
	l.sockets.Trim()
	l.timer.Reset(quietAfter)
	// If gone is set, flushBatch calls tellEnd at the end of the batch, when the application was notified of the closed
	// connections.
	l.gone = l.sites.End >= exchange.Leaving
}

func (l *loop) Full() bool { return l.accepting.Full() }

func (l *loop) Freed() { l.accepting.Resume() }

func (l *loop) Count(n int) {
	if n < 0 {
		l.connectionClosed(conn.Take)
		return
	}
	l.connectionOpened()
	l.accepting.Opened(conn.Take)
}
