package runtime

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/descriptors"
	"fapws/runtime/exchange"
	"fapws/runtime/netio"
	"fapws/runtime/websocket"
)

// settle closes c if its last response is out.
func (l *loop) settle(c *httpConn) {
	switch {
	case c.busy() || l.out.conn == c || c.queued && !l.draining:
	case c.state == stateJoining:
		l.promoteToSubscriber(c)
	case l.draining && (c.state == stateReady || c.state == stateWaiting):
		l.setState(c, stateEnding) // its head, sent before, said that it stays open
		l.finish(c)
	case l.draining && c.skipping():
		l.endSkip(c)
	case c.state == stateEnding:
		l.finish(c)
	case c.half && c.state != stateClosed:
		l.close(c, "the client has shut down its side")
	}
}

// finish ends a connection whose responses have all been written.
//
// When the client is still sending (a body that was refused), closing at once
// would make the kernel answer with RST, and that can destroy the response
// before the client has read it (RFC 9112 §9.6). So only the sending side is
// shut down, and what comes is thrown away until the client closes.
func (l *loop) finish(c *httpConn) {
	if c.half || c.reset || !c.linger && len(c.pending()) == 0 {
		l.close(c, "the last response is out")
		return
	}
	l.dropInput(c)
	if c.paused {
		l.unpause(c)
	}
	unix.Shutdown(c.fd, unix.SHUT_WR)
	if c.state != stateClosed {
		c.stamp, c.lingerEnd = l.now(), l.now()+int64(maxLinger)
		l.setState(c, stateLinger)
	}
}

// close closes c now. Active exchanges are cancelled; a transfer goes on.
func (l *loop) close(c *httpConn, why string) {
	if c.state == stateClosed {
		return
	}
	if l.debug >= 2 {
		l.tracef("%s is closed: %s", c, why)
	}
	l.shut(c)
}

// shut ends c. Its descriptor is closed when its transfer has ended.
func (l *loop) shut(c *httpConn) {
	l.end(c)
	if c.transfer == nil {
		l.closeSocket(c)
	} else {
		l.schedule(c)
	}
}

// closeSocket closes the descriptor of c.
func (l *loop) closeSocket(c *httpConn) {
	if c.reset {
		netio.ResetOnClose(c.fd)
	}
	l.wheel.Remove(&c.timer)
	c.watch.Remove()
	descriptors.Release(c.fd)
	unix.Close(c.fd)
}

// gone is called when the client of c has left, or only shut down its side.
func (l *loop) gone(c *httpConn, err error) {
	if errors.Is(err, io.EOF) && !c.half && l.answersHalf(c) {
		return
	}
	if l.debug >= 2 && err != nil {
		l.tracef("%s: %v", c, err)
	}
	if l.out.conn == c { // gathered, and still wanted if it only shut down its side
		buf := l.out.buf
		l.out.conn, l.out.buf = nil, buf[:0]
		l.write(c, buf, nil, nil, nil)
	}
	if c.state != stateClosed { // write may have found it broken
		l.shut(c)
	}
}

// answersHalf keeps a connection whose client has shut down its sending side
// (printf ... | nc host port) for active exchanges whose response has not begun. It
// cannot be told from a client that has left altogether, hence the short time
// that deadline gives it, and hence a response that has begun is cancelled:
// that is how a client ends a stream.
func (l *loop) answersHalf(c *httpConn) bool {
	if c.first == nil || c.first.begun || c.subrequest != nil || c.body != nil || c.state == stateClosed {
		return false
	}
	c.half = true
	c.stamp = l.now()
	l.schedule(c)
	l.tellHalf(c)
	if l.debug >= 2 {
		l.tracef("%s has shut down its side, %d active", c, c.active)
	}
	return true
}

// tellHalf tells handlers that listen for it (http.disconnect of ASGI) that the client
// sends nothing more and has probably left. What they answer is sent all the same. To
// one that has not answered a WebSocket's handshake yet, it broke off.
func (l *loop) tellHalf(c *httpConn) {
	for x := c.first; x != nil; x = x.next {
		if _, ok := x.handler.(Receiver); ok && x.owed && x.fill == nil {
			l.tell(x, exchange.Input{Op: exchange.OpClose, Code: websocket.Abnormal})
		}
	}
}

// end takes c out of everything but its transfer.
func (l *loop) end(c *httpConn) {
	if c.state == stateClosed {
		return
	}
	l.setState(c, stateClosed)
	l.arrived(c)
	if l.out.conn == c {
		l.out.conn, l.out.buf = nil, l.out.buf[:0]
	}
	if c.first != nil && c.first.tunnel != nil {
		c.first.tunnel.Close()
	}
	l.tellAway(c)
	if p := c.joining; p != nil {
		c.joining = nil
		l.subscribers.Abandon(p)
	}
	if c.first != nil && c.first.detached {
		l.revokeSocket(c)
	}
	if c.lent {
		unix.Shutdown(c.fd, unix.SHUT_RDWR)
	}
	l.cancelAll(c)
	l.dropInput(c)
	if c.body != nil {
		c.body.drop()
		c.body = nil
	}
	if c.transfer == nil {
		l.forget(c)
	}
}

// forget makes room for another connection.
func (l *loop) forget(c *httpConn) {
	if c.moved {
		return // the subscriber has its place
	}
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
	live := l.live.Add(-1)
	if client {
		l.accepting.clients--
	}
	l.acceptMore()
	if live > 0 {
		return
	}
	l.sockets, l.bulk, l.tunnels = nil, nil, nil // they are large
	select {
	case l.emptied <- struct{}{}:
	default:
	}
	if l.leaving {
		l.allGone()
	}
}

// drain begins the end: idle connections close, the others after their
// response.
func (l *loop) drain() {
	if l.draining {
		return
	}
	l.leaving, l.draining = true, true
	l.groups.fanout.Finish(l.groups.now())
	l.flush()
	for _, c := range l.wheel.All() {
		if !c.busy() && (c.state == stateReady || c.state == stateNew || c.state == stateHead) {
			l.close(c, "the server is shutting down")
		}
		if !c.busy() && c.skipping() {
			l.endSkip(c)
		}
		if c.state == stateSocket {
			l.goAway(c)
		}
	}
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
	l.groups.fanout.Finish(l.groups.now())
	l.flush()
	l.keepAlive = min(l.keepAlive, int64(idle))
	for _, c := range l.wheel.All() {
		if !c.busy() && (c.state == stateReady || c.state == stateNew) {
			c.stamp = l.now()
		}
		l.schedule(c)
		if c.state == stateSocket && (c.ws.group == "" || !l.handover.stay) {
			l.goAway(c)
		}
	}
	l.subscribers.Retire()
	if l.live.Load() == 0 {
		l.allGone()
	}
}

// closeAll closes what drain left.
func (l *loop) closeAll() {
	for _, c := range l.wheel.All() {
		l.close(c, "the server has shut down")
		if c.transfer != nil {
			l.abortTransfer(c.transfer)
		}
	}
	l.subscribers.Close()
}

func (l *loop) allGone() {
	select {
	case <-l.drained:
	default:
		close(l.drained)
	}
}
