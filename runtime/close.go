package runtime

import (
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/protocol/tunnel"
	"fapws/runtime/websocket"
)

// settle closes c if its last response is out.
func (c *httpConn) settle() {
	l := c.l
	switch {
	case c.busy() || c.Gathers() || c.WaitsForAgain() && !l.draining:
	case l.draining && (c.state == stateReady || c.state == stateWaiting):
		c.setState(stateEnding) // its head, sent before, said that it stays open
		c.Finish()
	case l.draining && c.skipping():
		c.endSkip()
	case c.state == stateEnding:
		c.Finish()
	case c.Half() && c.reading():
		c.Close("the client has shut down its side")
	}
}

// EOF implements conn.Protocol. It keeps a connection whose client has shut down its sending side
// (printf ... | nc host port) for active exchanges whose response has not begun. It
// cannot be told from a client that has left altogether, so Deadline gives it a short
// time, and a response that has begun is cancelled:
// that is how a client ends a stream.
func (c *httpConn) EOF() (stays bool) {
	if c.first == nil || c.first.out.Begun || c.subrequest != nil || c.body != nil || c.state == stateClosed {
		return false
	}
	c.tellHalf()
	return true
}

// tellHalf tells sources that listen for it (http.disconnect of ASGI) that the client
// sends nothing more and has probably left. What they answer is sent all the same. To
// one that has not answered a WebSocket's handshake yet, it broke off.
func (c *httpConn) tellHalf() {
	for x := c.first; x != nil; x = x.next {
		c.l.tell(x, exchange.Input{Op: exchange.OpClose, Code: websocket.Abnormal})
	}
}

// Closed implements conn.Protocol.
func (c *httpConn) Closed() {
	l := c.l
	c.setState(stateClosed)
	l.arrived(c)
	if c.first != nil && c.first.detached {
		l.revokeSocket(c)
	}
	if c.lent {
		unix.Shutdown(c.Fd(), unix.SHUT_RDWR)
	}
	c.cancelAll()
	if c.body != nil {
		c.body.Drop()
		c.body = nil
	}
}

// Gone implements conn.Protocol. It makes room for another connection.
func (c *httpConn) Gone() {
	l := c.l
	if l.debug >= 1 {
		l.tracef("%s disconnected, %d open", c, l.live.Load()-1)
	}
	if c.rejected {
		l.accepting.rejected--
	}
	l.makeRoom(c.subrequest == nil && !c.rejected)
}

// makeRoom is for a connection that has gone. client: it counted for Config.MaxClients.
func (l *loop) makeRoom(client bool) {
	if l.live.Load() == 1 { // ticks go on for handlers that are late
		l.owed.Store(int64(l.app.Owed()))
	}
	live := l.live.Add(-1)
	if client {
		l.accepting.clients--
	}
	l.accepting.Resume()
	if live > 0 {
		return
	}
	l.bulk, l.tunnels = nil, tunnel.Buffers{} // they are large
	l.sockets.Trim()
	select {
	case l.emptied <- struct{}{}:
	default:
	}
	if l.leaving {
		l.allGone()
	}
}

// Drain implements conn.Protocol. Idle connections close, or stay for as long as loop.keepAlive says.
func (c *httpConn) Drain(retire bool) {
	l, idle := c.l, !c.busy()
	if retire {
		defer c.Schedule() // deadlines are earlier now
	}
	switch {
	case retire:
		if idle && (c.state == stateReady || c.state == stateNew) {
			c.Stamp = l.now()
		}
	case idle && (c.state == stateReady || c.state == stateNew || c.state == stateHead):
		c.Close("the server is shutting down")
	case idle && c.skipping():
		c.endSkip()
	}
}

// drain begins the end: idle connections close, the others after their
// response.
func (l *loop) drain() {
	if l.draining {
		return
	}
	l.leaving, l.draining = true, true
	l.sockets.Drain(false)
	l.conns.Drain(false)
	l.subscribers.Drain()
	if l.live.Load() == 0 {
		l.allGone()
	}
}

// retire begins a quiet end, when no connection comes any more: each one stays
// until its next request is answered, or until it was idle for so long. A
// client that sends a request just now must not find the connection closed.
func (l *loop) retire(idle time.Duration) {
	if l.leaving {
		return
	}
	l.leaving = true
	l.sockets.Drain(true)
	l.keepAlive = min(l.keepAlive, int64(idle))
	l.conns.Drain(true)
	l.subscribers.Retire()
	if l.live.Load() == 0 {
		l.allGone()
	}
}

// closeAll closes what drain left.
func (l *loop) closeAll() {
	l.conns.CloseAll("the server has shut down")
	l.subscribers.Close()
}

func (l *loop) allGone() {
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
}
