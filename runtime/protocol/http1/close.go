package http1

import (
	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// settle closes c if its last response is out.
func (c *Conn) settle() {
	s := c.s
	switch {
	case c.Busy() || c.Gathers() || c.WaitsForAgain() && !s.Draining():
	case s.Draining() && (c.state == StateReady || c.state == StateWaiting):
		c.setState(StateEnding) // its head, sent before, said that it stays open
		c.Finish()
	case s.Draining() && c.skipping():
		c.endSkip()
	case c.state == StateEnding:
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
func (c *Conn) EOF() (stays bool) {
	if c.first == nil || c.first.Out.Begun || c.internal || c.body != nil || c.state == StateClosed {
		return false
	}
	c.tellHalf()
	return true
}

// tellHalf tells sources that listen for it (http.disconnect of ASGI) that the client
// sends nothing more and has probably left. What they answer is sent all the same. To
// one that has not answered a WebSocket's handshake yet, it broke off.
func (c *Conn) tellHalf() {
	for x := c.first; x != nil; x = x.Next {
		c.s.Host.HalfClosed(x)
		x.Tell(exchange.Input{Op: exchange.OpClose, Code: websocket.Abnormal})
	}
}

// Closed implements conn.Protocol.
func (c *Conn) Closed() {
	c.setState(StateClosed)
	if c.lent || c.first != nil && c.first.Detached {
		unix.Shutdown(c.Fd(), unix.SHUT_RDWR)
	}
	if c.body != nil {
		c.body.Drop()
		c.body = nil
	}
	c.cancelAll()
}

// Drain implements conn.Protocol. Idle connections close, or stay for as long as Retire says.
func (c *Conn) Drain(retire bool) {
	s, idle := c.s, !c.Busy()
	if retire {
		defer c.Schedule() // deadlines are earlier now
	}
	switch {
	case retire:
		if idle && (c.state == StateReady || c.state == StateNew) {
			c.Stamp = s.Now()
		}
	case idle && (c.state == StateReady || c.state == StateNew || c.state == StateHead):
		c.Close("the server is shutting down")
	case idle && c.skipping():
		c.endSkip()
	}
}
