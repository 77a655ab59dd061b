package runtime

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"

	"golang.org/x/sys/unix"
)

// Where Mount.Tunnels, the handler may answer a request for a WebSocket with a
// tunnel: from then on the connection is the handler's, by a duplicate of its
// descriptor. The loop reads nothing from it any more and only hears of one that
// breaks. What the client has sent behind its request, before the answer, was kept
// as what follows any request is, and goes along. Without a tunnel it is the next
// request.

// dig gives the connection of x to the tunnel in p.
func (l *loop) dig(x *Exchange, p *exchange.Part) {
	c := x.conn
	if c.half {
		l.close(c, "the client has shut down its side before its WebSocket began")
		l.release(p)
		return
	}
	l.flush()
	if x.conn == nil { // its client has left
		l.release(p)
		return
	}
	if c.transfer != nil { // of the answer before, which goes first
		x.held = append(x.held, *p)
		return
	}
	socket, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		l.logClient(c, x.rules, LevelError, "no tunnel for a WebSocket: %v", err)
		y := l.substitute(x)
		l.release(p)
		l.makeLocal(y, localResponse{status: 503, fields: retryAfter})
		x.handler.Cancel(x.ticket)
		l.submitted = true
		return
	}
	if l.debug >= 2 {
		l.tracef("%s: a tunnel begins", c)
	}
	if !c.paused {
		l.pause(c, false)
	}
	c.stopped = true
	early := bytes.Clone(c.pending())
	l.dropInput(c)
	head := l.tunnelHead(x, p)
	x.begun = true
	x.raw, x.tunnel = true, p.Head.Tunnel
	x.tunnel.Take(socket, head, early)
	l.release(p)
}

// tunnelHead returns the head of the answer, with what rules add to it.
func (l *loop) tunnelHead(x *Exchange, p *exchange.Part) []byte {
	r := http1.Response{
		Status: p.Head.Status, Reason: p.Head.Reason, Minor: 1, KeepAlive: true, Length: -1,
		Fields: p.Head.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer,
	}
	return l.appendHead(nil, x, &r)
}

// leftToTunnel keeps a connection that the kernel calls hung up while its tunnel may
// still have to read: both sides were shut down, which is how a conversation ends. It
// is false for one that is broken, which the tunnel might not see as it waits for the
// other end.
func (l *loop) leftToTunnel(c *conn) bool {
	state := [1]unix.PollFd{{Fd: int32(c.fd)}}
	if _, err := unix.Poll(state[:], 0); err != nil || state[0].Revents&unix.POLLERR != 0 {
		return false
	}
	c.half = true
	l.schedule(c)
	return true
}

// caveIn is for x whose connection ends before its tunnel has: nothing else may be
// there any more when that has noticed, so the log has its line now.
func (l *loop) caveIn(x *Exchange) {
	if l.timed {
		l.account(x)
	}
	x.log = nil
}
