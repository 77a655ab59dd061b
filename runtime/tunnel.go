package runtime

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/tunnel"
)

// Where Mount.Tunnels, a handler may answer a request for a WebSocket with a connection to an upstream
// (exchange.Head.Tunnel). From then on the loop passes bytes between it and the client. What the client has sent behind
// its request, before the answer, was kept like what follows any request, and goes along. Without a tunnel it is the
// next request.

// connTunnel is the tunnel of a connection.
type connTunnel struct {
	*tunnel.Tunnel
	c     *httpConn
	watch eventloop.Watch // of the upstream
	idle  int64           // nanoseconds without a byte; 0: no limit
	head  int64           // bytes of the head of the answer
	taken int64           // loop.now when the client last took something
	ended func(error)     // exchange.Tunnel.Ended
}

// halfIdle is how long a tunnel may be silent when one side has sent its last byte.
const halfIdle = 30 * time.Second

// Ready implements eventloop.Handler, for the upstream.
func (t *connTunnel) Ready(r eventloop.Readiness) { t.c.l.passOn(t, tunnel.Upstream, r) }

// tunnelClient is told of news of the client, in the place of its connection.
type tunnelClient struct{ *connTunnel }

// Ready implements eventloop.Handler.
func (t tunnelClient) Ready(r eventloop.Readiness) {
	if r == eventloop.Unwatched {
		t.c.Ready(r)
		return
	}
	t.c.l.passOn(t.connTunnel, tunnel.Client, r)
}

// openTunnel makes the connection of x, and the upstream in p, a tunnel.
func (l *loop) openTunnel(x *Exchange, p *exchange.Part) {
	c := x.conn
	if c.Half() {
		c.Close("the client has shut down its side before its WebSocket began")
		l.release(p)
		return
	}
	l.conns.Flush()
	if x.conn == nil { // its client has left
		l.release(p)
		return
	}
	if c.Writing() { // of the answer before, which goes first
		x.hold(p)
		return
	}
	upstream := p.Head.Tunnel.Upstream
	t := &connTunnel{c: c, idle: int64(p.Head.Tunnel.Idle), taken: l.now(), ended: p.Head.Tunnel.Ended}
	if err := l.conns.Events.Add(&t.watch, upstream.Fd(), t); err != nil {
		l.logClient(c, x.rules, loglevel.Error, "no tunnel for a WebSocket: %v", err)
		y := x.substitute()
		l.release(p)
		y.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	p.Head.Tunnel.Upstream = nil // it is ours
	if l.debug >= 2 {
		l.tracef("%s: a tunnel begins", c)
	}
	if l.tunnels == nil {
		l.tunnels = new(tunnel.Buffers)
	}
	t.Tunnel = tunnel.New(netio.Plain{Descriptor: c.Fd(), TCP: c.TCP()}, upstream, c.Watch(), &t.watch, l.tunnels)
	head := l.tunnelHead(x, p)
	t.head = int64(len(head))
	x.begun, x.tunnel, x.keepAlive = true, t, false
	c.Unpause()
	c.stopped = false
	c.Watch().Handle(tunnelClient{t})
	c.Stamp = l.now()
	c.setState(stateTunnel)
	over, err := t.Open(c.Pending(), append(head, p.Head.Tunnel.Ahead...))
	c.DropInput()
	x.handler.Release(p) // the ticket stays taken until the tunnel has ended
	l.passedOn(t, over, err)
}

// tunnelHead returns the head of the answer, with what rules add to it.
func (l *loop) tunnelHead(x *Exchange, p *exchange.Part) []byte {
	r := http1.Response{
		Status: p.Head.Status, Reason: p.Head.Reason, Minor: 1, KeepAlive: true, Length: -1,
		Fields: p.Head.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer,
	}
	return x.appendHead(nil, &r)
}

// passOn lets a tunnel pass bytes on when there is news of a side.
func (l *loop) passOn(t *connTunnel, s tunnel.Side, r eventloop.Readiness) {
	moved, taken := t.Moved(), t.Sent(tunnel.Client)
	over, err := t.Tunnel.Ready(s, r)
	if t.Moved() > moved {
		t.c.Stamp = l.now()
	}
	if t.Sent(tunnel.Client) > taken {
		t.taken = l.now()
	}
	l.passedOn(t, over, err)
}

// passedOn acts on the results of a tunnel.
func (l *loop) passedOn(t *connTunnel, over bool, err error) {
	switch {
	case errors.Is(err, tunnel.ErrClientGone):
		t.c.Close(err.Error())
	case err != nil:
		t.ended(err)
		l.endTunnel(t, true)
	case over:
		l.endTunnel(t, true)
	case t.Waiting(tunnel.Client) || t.half():
		t.c.Schedule() // this may end sooner than where it is in the wheel
	}
}

// half reports whether one side has sent its last byte.
func (t *connTunnel) half() bool { return t.Ended(tunnel.Client) || t.Ended(tunnel.Upstream) }

// endTunnel ends t before its connection. proper: the client got everything that the upstream has sent.
func (l *loop) endTunnel(t *connTunnel, proper bool) {
	c := t.c
	x := c.first
	if t.Ended(tunnel.Client) {
		c.SetHalf()
	}
	t.Close()
	c.Watch().Handle(&c.Conn)
	x.proper, c.Reset = proper, !proper
	c.Linger = true // what was sent last must not be lost: see finish
	c.ReadAgain()
	x.complete(false)
	x.end()
	c.settle()
}

// carried returns how many bytes have come from the client, and how many it has taken, without the head.
func (t *connTunnel) carried() (in, out int64) {
	return t.Received(tunnel.Client), max(0, t.Sent(tunnel.Client)-t.head)
}

// slow returns when the client has taken nothing for too long.
func (l *loop) slow(t *connTunnel) int64 { return t.taken + tickLength + int64(l.cfg.WriteTimeout) }

// tunnelDeadline is deadline for a tunnel.
func (l *loop) tunnelDeadline(c *httpConn) int64 {
	t := c.first.tunnel
	due := l.now() + l.keepAlive
	if t.idle > 0 {
		due = c.Stamp + tickLength + t.idle
	}
	if t.half() {
		due = min(due, c.Stamp+tickLength+int64(halfIdle))
	}
	if t.Waiting(tunnel.Client) {
		due = min(due, l.slow(t))
	}
	return due
}

// tunnelExpired is expired for a tunnel. A handler that runs inline may have kept the loop from it.
func (l *loop) tunnelExpired(c *httpConn) {
	t := c.first.tunnel
	for _, s := range []tunnel.Side{tunnel.Client, tunnel.Upstream} {
		if l.passOn(t, s, eventloop.Readable|eventloop.Writable); c.state != stateTunnel {
			return
		}
	}
	switch {
	case l.tunnelDeadline(c) > l.now():
		c.Schedule()
	case t.Waiting(tunnel.Client) && l.slow(t) <= l.now():
		l.s.logf(loglevel.Info, "%s took nothing for %v and has been closed", c, l.cfg.WriteTimeout)
		l.endTunnel(t, false)
	case t.half():
		l.endTunnel(t, true)
	default:
		t.ended(fmt.Errorf("nothing was said for %v", time.Duration(t.idle)))
		l.endTunnel(t, true)
	}
}
