package runtime

import (
	"bytes"

	"fapws/runtime/conn"
	"fapws/runtime/descriptors"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// Where Mount.DetachSocket, a request for a WebSocket comes with a duplicate of the
// connection's descriptor, for libraries that speak that protocol by themselves.
// The loop does not read from the connection before the exchange ends. It
// still sees a client that leaves: then it shuts the connection down, which the
// application's descriptor shows, and cancels the exchange, at once after RST,
// and after two seconds when the client has shut down its side.

// earlyData refuses frames that come before the answer to the handshake: they have been
// read, and the application would not see them.
var earlyData = exchange.Reply{Status: 400, Text: "data before the WebSocket was accepted", Close: true}

// wantsDetachedSocket reports whether x, whose Connection lists "upgrade", asks for a
// WebSocket (RFC 6455 §4.1).
func wantsDetachedSocket(x *Exchange) bool {
	req, head := &x.req.parsed, x.req.Head
	if req.Minor == 0 || hasBody(req) || x.conn.subrequest != nil || string(req.Method.In(head)) != "GET" {
		return false
	}
	for _, f := range req.Fields {
		if f.Name.Len != 7 || !is(f, head, "upgrade") {
			continue
		}
		for option := range bytes.SplitSeq(f.Value.In(head), []byte(",")) {
			if bytes.EqualFold(bytes.TrimSpace(option), []byte("websocket")) {
				return true
			}
		}
	}
	return false
}

// detachSocket returns a duplicate of the descriptor of c, from which nothing is read any
// more, or 0 if that cannot be.
func (l *loop) detachSocket(c *httpConn) (int, error) {
	fd, err := unix.FcntlInt(uintptr(c.Fd()), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		l.s.logf(loglevel.Error, "no descriptor for a WebSocket: %v", err)
		return 0, err
	}
	if c.Paused() {
		unix.Close(fd)
		return 0, nil
	}
	c.Pause(conn.HeedEnd)
	c.stopped = true
	descriptors.Release(fd) // an earlier duplicate of this connection may have had the number
	return fd, nil
}

// reattachSocket is called with the last part of x, whose application gives up the
// descriptor. done: it has talked to the client by itself, which ends x.
func (l *loop) reattachSocket(x *Exchange, p *exchange.Part) (done bool) {
	x.detached = false
	c := x.conn
	if p.Taken {
		x.out.Status = 101
	}
	switch {
	case c == nil:
		return false
	case !p.Taken:
		unix.SetNonblock(c.Fd(), true) // what the application has set holds for ours, too
		c.resumeReading()
		return false
	}
	x.dropHeld()
	x.keepAlive = false
	c.Linger = true // what was sent last must not be lost: see finish
	c.lent = true
	x.complete(false)
	x.release(p)
	c.settle()
	return true
}

// revokeSocket ends what the application does with the descriptor of c.
func (l *loop) revokeSocket(c *httpConn) {
	unix.Shutdown(c.Fd(), unix.SHUT_RDWR)
}
