package http1

import (
	"errors"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// A request may come with a duplicate of the connection's descriptor (Request.Socket), for libraries that speak the protocol of
// WebSockets by themselves. The loop does not read from the connection before the exchange ends. It
// still sees a client that leaves: then it shuts the connection down, which the
// application's descriptor shows, and cancels the exchange, at once after RST,
// and after two seconds when the client has shut down its side.

// ErrAhead is the error of DetachSocket when bytes behind the request have been read: the application would not see them.
var ErrAhead = errors.New("data before the WebSocket was accepted")

// DetachSocket returns a duplicate of the descriptor for the request that is being decided about and in turn. Nothing is read from
// the connection any more. The descriptor is 0 if that cannot be. The error is ErrAhead or that of the system, which is logged.
func (c *Conn) DetachSocket() (int, error) {
	if held, err := c.HoldInput(); !held {
		return 0, err
	}
	fd, err := unix.FcntlInt(uintptr(c.Fd()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		c.Continue()
		c.s.Set.Log(logfile.Error, "no descriptor for a WebSocket: %v", err)
		return 0, err
	}
	system.ReleaseDescriptor(fd) // an earlier duplicate of this connection may have had the number
	return fd, nil
}

// HoldInput stops reading from c for the request that is being decided about and in turn. It reports whether it has: not if reading is
// paused already, nor with the error, which is ErrAhead.
func (c *Conn) HoldInput() (held bool, err error) {
	if len(c.s.rest) > 0 {
		return false, ErrAhead
	}
	return c.Stop(conn.HeedEnd), nil
}

// reattachSocket is called with the last part of x, whose application gives up the
// descriptor. done: it has talked to the client by itself, which ends x.
func (c *Conn) reattachSocket(x *http.Exchange, p *exchange.Part) (done bool) {
	x.Detached = false
	if !p.Taken {
		unix.SetNonblock(c.Fd(), true) // what the application has set holds for ours, too
		c.resumeReading()
		return false
	}
	x.DropHeld()
	x.KeepAlive = false
	c.Linger = true // the bytes sent last must not be lost: see conn.Conn.Finish
	c.lent = true
	c.complete(x, false)
	x.Release(p)
	c.settle()
	return true
}
