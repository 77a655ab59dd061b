package conn

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Tunnel passes bytes between a client and an upstream. After the tunnel has ended, it discards the client's input. The
// methods of Tunnel must be called on the loop.
type Tunnel struct {
	client, upstream TunnelEnd

	set   *Set
	ended func(proper bool)
	// The client's previous protocol. Its method Closed is called when the client's connection is closed.
	before Protocol
	idle   int64       // idle timeout in nanoseconds; 0 means no limit
	failed func(error) // called when the tunnel has ended with an error
	over   bool
}

type TunnelEnd struct {
	t        *Tunnel
	other    *TunnelEnd
	conn     *Conn
	received int64 // number of bytes received from this end
	// this end has sent its last byte, or its bytes can no longer be forwarded
	ended bool
	over  bool
}

const (
	// halfIdle is how long a tunnel may be silent after one end has sent its last byte.
	halfIdle = int64(30 * time.Second)

	// lookAgain is the interval between calls of Due if the tunnel has no timeout.
	lookAgain = int64(time.Minute)
)

// NewTunnel makes a tunnel, which then owns upstream, an open connection without pending input. The tunnel ends after the
// duration idle without a byte in either direction; 0 means no limit. failed is called if the tunnel ends with an error
// that an operator should know. ended is called once, on the loop; proper is true if the client received all bytes from
// the upstream. The caller must call Begin at once.
func (s *Set) NewTunnel(ended func(proper bool), upstream *Conn, idle time.Duration, failed func(error)) *Tunnel {
	t := &Tunnel{set: s, ended: ended, idle: int64(idle), failed: failed}
	t.client = TunnelEnd{t: t, other: &t.upstream}
	t.upstream = TunnelEnd{t: t, other: &t.client, conn: upstream}
	upstream.Patient = true
	return t
}

// Begin starts the tunnel between c, the connection of a client, and the upstream. Begin sends the pending input of c
// to the upstream. The client gets the bytes in first, which begin with a response head of head bytes.
func (t *Tunnel) Begin(c *Conn, first []byte, head int) {
	upstream := t.upstream.conn
	t.client.conn, t.before = c, c.Protocol()
	t.client.received, t.upstream.received = int64(len(c.Pending())), int64(len(first)-head)
	c.Unpause()
	c.SetProtocol(&t.client)
	c.Stamp = t.set.Now
	c.Schedule()
	if upstream.IsClosed() {
		t.upstream.Broke(net.ErrClosed)
		return
	}
	upstream.SetProtocol(&t.upstream)
	upstream.Schedule()
	upstream.Keep(first)
	t.client.pass()
	t.upstream.pass()
}

// Carried returns the number of bytes that the client (received) and the upstream (sent) have sent through the tunnel,
// without the heads.
func (t *Tunnel) Carried() (received, sent int64) { return t.client.received, t.upstream.received }

func (e *TunnelEnd) IsClient() bool { return e == &e.t.client }

// Input sends b to the other end. If the other end's socket has no room, Input keeps the rest of b and pauses e until
// the rest is sent.
func (e *TunnelEnd) Input(b []byte) {
	if len(b) == 0 || e.ended {
		return
	}
	e.received += int64(len(b))
	e.conn.Keep(b[e.send(b):])
}

func (e *TunnelEnd) pass() { e.conn.Consume(e.send(e.conn.Pending())) }

// send sends b to the other end and returns the number of bytes that were sent or can be discarded. If send has sent
// all of b, it continues reading from e or, if e has sent its last byte, shuts down the other end.
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

// pause stops reading from e. A reset by the client is still noticed, unless the client has received all output and may
// close.
func (e *TunnelEnd) pause() {
	pauseMode := PauseForHandover
	if e.IsClient() && e.conn.tcp && !e.over {
		pauseMode = PauseForReset
	}
	e.conn.Pause(pauseMode)
}

// refuse is called when the socket of e no longer accepts data.
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

func (e *TunnelEnd) shut() {
	if e.over || !e.conn.sayEnd() { // if the socket is full, shut is called again when it has room
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

// settle ends the tunnel if both directions have ended. Otherwise settle reschedules the deadline, because the end of
// one direction may make the deadline earlier.
func (e *TunnelEnd) settle() {
	if e.other.over {
		e.t.end()
	} else {
		e.t.client.conn.Schedule()
	}
}

// end closes the upstream connection, and makes the client's connection linger, so that the client receives the last
// bytes.
func (t *Tunnel) end() {
	t.close()
	c := t.client.conn
	c.Linger = true
	t.ended(true)
	if !c.Writing() { // otherwise Drained calls Finish at the end of the transfer
		c.Finish()
	}
}

func (t *Tunnel) close() {
	t.over, t.client.ended, t.upstream.ended = true, true, true
	if c := t.upstream.conn; !c.IsClosed() {
		c.Close("its tunnel has ended")
		c.Abort()
	}
}

func (e *TunnelEnd) Drained(ended bool) {
	switch {
	case !ended:
	case e.t.over:
		e.conn.Finish()
	default:
		e.other.pass()
	}
}

// If e is paused, EOF means that the client has reset the connection.
func (e *TunnelEnd) EOF() (stays bool) {
	if e.conn.Paused() {
		return false
	}
	e.ended, e.conn.Half = true, true
	e.t.client.conn.Schedule()
	if !e.other.conn.Writing() { // otherwise Drained calls shut at the end of the transfer
		e.other.shut()
	}
	return true
}

func (e *TunnelEnd) Broke(err error) {
	if t := e.t; !e.IsClient() && !t.over {
		t.failed(fmt.Errorf("the upstream broke off: %w", err))
		t.end()
	}
}

// Due extends the deadline if there is unread input, for example because a handler ran on the loop for a long time.
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
	case e.conn.HasUnreadInput() || t.upstream.conn.HasUnreadInput():
		return now + tick
	case !half:
		t.failed(fmt.Errorf("idle timeout of %v exceeded", time.Duration(t.idle)))
	}
	t.end()
	return now + lookAgain
}

func (e *TunnelEnd) Drain(bool) {}

func (e *TunnelEnd) Closed() {
	t, over := e.t, e.t.over
	switch {
	case e.IsClient():
		t.close()
		t.before.Closed()
		if !over {
			t.ended(false)
		}
	case over:
	case e.ended:
		e.refuse()
	default:
		t.client.conn.Close("its upstream was closed")
	}
}
