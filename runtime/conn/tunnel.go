package conn

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// TunnelOwner has made a Tunnel. Its method is called on the loop.
type TunnelOwner interface {
	// Ended is called once. proper reports whether the client was sent all bytes of the upstream.
	Ended(proper bool)
}

// Tunnel passes bytes between two connections of a loop, that of a client and one to an upstream. What the client sends after the end of the
// tunnel is thrown away. Its methods must be called on the loop.
type Tunnel struct {
	client, upstream TunnelEnd

	set    *Set
	secure *TLSServer
	owner  TunnelOwner
	before Protocol    // what the client spoke before, which is told of its end, too
	idle   int64       // nanoseconds without a byte; 0: no limit
	failed func(error) // is told why the tunnel has ended
	over   bool
}

// TunnelEnd is the protocol of a connection that is one end of a tunnel.
type TunnelEnd struct {
	t        *Tunnel
	other    *TunnelEnd
	conn     *Conn
	received int64 // bytes that it has sent
	ended    bool  // it has sent its last byte, or nothing that it sends can be passed on
	over     bool  // nothing more is sent to it
}

const (
	// halfIdle is how long a tunnel may be silent when one end has sent its last byte.
	halfIdle = int64(30 * time.Second)

	// lookAgain is how often the deadline of a tunnel without a limit is looked at.
	lookAgain = int64(time.Minute)
)

// NewUpstream makes a connection of package net, which it closes, one for a tunnel. t is what TLS makes of it, nil without TLS. It is safe for
// concurrent use.
func NewUpstream(c net.Conn, t *TLSTransport) (*Conn, error) {
	fd, err := descriptorOf(c)
	if err != nil {
		return nil, err
	}
	upstream := new(Conn)
	upstream.Init(fd, c.LocalAddr(), c.RemoteAddr())
	if t != nil {
		t.wire.c, t.wire.over = upstream, nil
		upstream.setTransport(t)
	}
	return upstream, nil
}

// NewTunnel makes a tunnel to an upstream, which is not open yet and belongs to the tunnel from now on. The tunnel ends after the time idle
// without a byte in either direction; 0: never. failed is called when it has ended for a reason that an operator should see. Begin has to follow
// at once.
func (s *TLSServer) NewTunnel(owner TunnelOwner, upstream *Conn, idle time.Duration, failed func(error)) *Tunnel {
	t := &Tunnel{set: s.set, secure: s, owner: owner, idle: int64(idle), failed: failed}
	t.client = TunnelEnd{t: t, other: &t.upstream}
	t.upstream = TunnelEnd{t: t, other: &t.client, conn: upstream}
	upstream.Patient = true
	return t
}

// Begin makes c, the connection of a client, the other end of t. It sends the client first, which begins with a head of so many bytes, and the
// upstream the pending input of c.
func (t *Tunnel) Begin(c *Conn, first []byte, head int) {
	upstream := t.upstream.conn
	t.client.conn, t.before = c, c.Protocol()
	t.client.received, t.upstream.received = int64(len(c.Pending())), int64(len(first)-head)
	c.Unpause()
	c.Upgrade(&t.client)
	c.Stamp = t.set.Now
	c.Schedule()
	if secure, ok := upstream.Transport().(*TLSTransport); ok {
		secure.wire.s = t.secure
	}
	if err := upstream.Open(t.set, &t.upstream); err != nil {
		t.upstream.Broke(err)
		return
	}
	upstream.Schedule()
	upstream.Keep(first)
	t.client.pass()
	t.upstream.pass()
}

// Carried returns how many bytes have come from the client, and how many from the upstream, without the head.
func (t *Tunnel) Carried() (in, out int64) { return t.client.received, t.upstream.received }

// IsClient reports whether e is the end of the client.
func (e *TunnelEnd) IsClient() bool { return e == &e.t.client }

// Input implements Protocol: bytes from one end are for the other. Those for which that has no room are kept, and nothing more is read until they
// were sent.
func (e *TunnelEnd) Input(b []byte) {
	if len(b) == 0 || e.ended {
		return
	}
	e.received += int64(len(b))
	e.conn.Keep(b[e.send(b):])
}

// pass sends the other end the bytes that were kept.
func (e *TunnelEnd) pass() { e.conn.Consume(e.send(e.conn.Pending())) }

// send sends the other end bytes that e has sent, and returns how many need not be kept. e is read from, or its end passed on, when none are.
func (e *TunnelEnd) send(b []byte) (n int) {
	to, err := e.other.conn, error(nil)
	e.t.client.conn.Stamp = e.t.set.Now
	switch {
	case to.Writing():
		err = unix.EAGAIN
	case len(b) > 0:
		n, err = to.WriteSome([][]byte{b})
	}
	switch {
	case err == unix.EAGAIN:
		e.pause()
		if !to.Writing() {
			to.Queue(Output{}, true)
		}
		return n
	case err != nil:
		e.other.refuse()
	case e.ended:
		e.other.shut()
	case e.conn.Paused():
		e.conn.Unpause()
	}
	return len(b)
}

// pause stops reading from e. A client is noticed that breaks its connection; one that was told that nothing more comes may close it.
func (e *TunnelEnd) pause() {
	heed := HeedNothing
	if e.IsClient() && e.conn.tcp && !e.over {
		heed = HeedReset
	}
	e.conn.Pause(heed)
}

// refuse is called when e takes nothing any more. The bytes that an upstream has sent before it closed are still for the client.
func (e *TunnelEnd) refuse() {
	if e.IsClient() {
		e.conn.Close("the client has disconnected")
		return
	}
	e.over, e.other.ended = true, true
	e.other.conn.DropInput()
	e.other.pause()
	e.settle()
}

// shut tells e that nothing more comes: everything that the other end has sent was passed on.
func (e *TunnelEnd) shut() {
	if e.over || !e.conn.sayEnd() { // or Room is called
		return
	}
	if e.conn.transport == nil {
		unix.Shutdown(e.conn.Fd(), unix.SHUT_WR)
	}
	e.over = true
	if e.conn.Paused() {
		e.pause()
	}
	e.settle()
}

// settle ends the tunnel if both directions have ended, or has its deadline looked at: it may be sooner now.
func (e *TunnelEnd) settle() {
	if e.other.over {
		e.t.end()
	} else {
		e.t.client.conn.Schedule()
	}
}

// end ends the tunnel before the connection of its client, which lingers, because the last bytes must not be lost.
func (t *Tunnel) end() {
	t.close()
	c := t.client.conn
	c.Linger = true
	t.owner.Ended(true)
	if !c.Writing() { // else Room is called
		c.Finish()
	}
}

// close ends the tunnel, and closes the upstream.
func (t *Tunnel) close() {
	t.over, t.client.ended, t.upstream.ended = true, true, true
	if c := t.upstream.conn; !c.closed {
		c.Close("its tunnel has ended")
		c.Abort()
	}
}

// Room implements Protocol.
func (e *TunnelEnd) Room(ended bool) {
	switch {
	case !ended:
	case e.t.over:
		e.conn.Finish()
	default:
		e.other.pass()
	}
}

// EOF implements Protocol. A client that is not read from has broken the connection.
func (e *TunnelEnd) EOF() (stays bool) {
	if e.conn.Paused() {
		return false
	}
	e.ended, e.conn.Half = true, true
	e.t.client.conn.Schedule()
	if !e.other.conn.Writing() { // else Room is called
		e.other.shut()
	}
	return true
}

// Broke is told why a connection cannot be read from.
func (e *TunnelEnd) Broke(err error) {
	if t := e.t; !e.IsClient() && !t.over {
		t.failed(fmt.Errorf("the upstream broke off: %w", err))
		t.end()
	}
}

// Due implements Protocol. A handler that runs inline may have kept the loop from the tunnel.
func (e *TunnelEnd) Due() (next int64) {
	t, now := e.t, e.t.set.Now
	due := now + lookAgain
	if !e.IsClient() || t.over {
		return due
	}
	half := t.client.ended || t.upstream.ended
	if t.idle > 0 {
		due = e.conn.Stamp + tick + t.idle
	}
	if half {
		due = min(due, e.conn.Stamp+tick+halfIdle)
	}
	switch {
	case due > now:
		return due
	case e.conn.Unread() || t.upstream.conn.Unread():
		return now + tick
	case !half:
		t.failed(fmt.Errorf("idle timeout of %v exceeded", time.Duration(t.idle)))
	}
	t.end()
	return now + lookAgain
}

// Drain implements Protocol. A tunnel goes on until it ends, or the server closes it.
func (e *TunnelEnd) Drain(bool) {}

// Closed implements Protocol.
func (e *TunnelEnd) Closed() {
	t, over := e.t, e.t.over
	switch {
	case e.IsClient():
		t.close()
		t.before.Closed()
		if !over {
			t.owner.Ended(false)
		}
	case over:
	case e.ended:
		e.refuse()
	default:
		t.client.conn.Close("its upstream was closed")
	}
}
