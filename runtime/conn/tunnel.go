package conn

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

// Side is a connection that does not block, as one side of a tunnel. Its methods must be called on the loop.
type Side interface {
	// Fd returns the descriptor that is readable or writable when a method is worth calling again.
	Fd() int

	// Drains reports whether a Read that does not fill its buffer has read everything that had come.
	Drains() bool

	// Read reads at least a byte. It returns io.EOF behind the last one, and unix.EAGAIN while nothing has come.
	Read(b []byte) (int, error)

	// Write writes as much of b as it can. It returns unix.EAGAIN if that is nothing.
	Write(b []byte) (int, error)

	// Flush writes what Read, Write or CloseWrite have left in memory. It returns unix.EAGAIN until all of it is
	// written.
	Flush() error

	// CloseWrite says that nothing more is written. Flush may be needed afterwards.
	CloseWrite() error

	Close() error
}

// TunnelSide is one of the two sides of a tunnel.
type TunnelSide uint8

const (
	TunnelClient TunnelSide = iota
	Upstream
)

// Tunnel passes bytes between a client and an upstream. Its methods must be called on the loop.
type Tunnel struct {
	ends [2]end  // by Side
	from [2]flow // by the Side that sends
	b    *TunnelBuffers
}

// end is the connection to one side.
type end struct {
	Side
	watch      *eventloop.Watch
	readable   bool // something may have come that was not read
	untilEmpty bool // readable until Read returns EAGAIN, however short a read is
}

// ErrClientGone is why a tunnel is over whose client has broken the connection.
var ErrClientGone = errors.New("the client has disconnected")

// NewTunnel makes a tunnel between two sockets that are already watched: the caller passes on what their handlers are told, by
// Ready. b is for all tunnels of the loop.
func NewTunnel(client, upstream Side, clientWatch, upstreamWatch *eventloop.Watch, b *TunnelBuffers) *Tunnel {
	t := &Tunnel{b: b}
	t.ends[TunnelClient] = end{Side: client, watch: clientWatch}
	t.ends[Upstream] = end{Side: upstream, watch: upstreamWatch}
	t.from[TunnelClient] = flow{from: &t.ends[TunnelClient], to: &t.ends[Upstream]}
	t.from[Upstream] = flow{from: &t.ends[Upstream], to: &t.ends[TunnelClient]}
	return t
}

// Open passes on bytes that were read before the tunnel was made, and those that have come since. Its results are
// those of Ready.
func (t *Tunnel) Open(fromClient, fromUpstream []byte) (over bool, err error) {
	for s, data := range [][]byte{TunnelClient: fromClient, Upstream: fromUpstream} {
		t.from[s].keep(t.b, data)
		t.from[s].received = int64(len(data))
	}
	if over, err = t.Ready(TunnelClient, eventloop.Readable); over {
		return over, err
	}
	return t.Ready(Upstream, eventloop.Readable)
}

// Ready passes bytes on when there is news of a side. over reports that the tunnel has nothing more to do. The error says
// why it cannot go on, and is ErrClientGone or the upstream's fault.
func (t *Tunnel) Ready(s TunnelSide, r eventloop.Readiness) (over bool, err error) {
	e, other := &t.ends[s], 1-s
	if r&^eventloop.Writable != 0 {
		e.readable = true
		e.untilEmpty = e.untilEmpty || r&(eventloop.Urgent|eventloop.MaybeGone) != 0 || !e.Drains()
	}
	if err := t.move(s); err != nil {
		return true, err
	}
	if err := t.move(other); err != nil { // there may be room for it, or e was read from as far as it could be
		return true, err
	}
	if s == TunnelClient && r&eventloop.MaybeGone != 0 && broken(e.Fd()) {
		return true, ErrClientGone // it may not be read from now
	}
	return t.from[TunnelClient].over && t.from[Upstream].over, nil
}

// move passes on what s has sent.
func (t *Tunnel) move(s TunnelSide) error {
	f := &t.from[s]
	broken, err := f.move(t.b)
	switch {
	case err == nil:
		return f.to.watch.WantRoom(f.blocked)
	case broken == &t.ends[TunnelClient]:
		return ErrClientGone
	case s == TunnelClient: // the bytes that the upstream has sent before it closed are still for the client
		f.stop(t.b)
		return f.to.watch.WantRoom(f.blocked)
	}
	return fmt.Errorf("the upstream broke off: %w", err)
}

// Received returns how many bytes a side has sent, those that Open was given among them.
func (t *Tunnel) Received(s TunnelSide) int64 { return t.from[s].received }

// Sent returns how many bytes a side was sent. They may be in the kernel.
func (t *Tunnel) Sent(s TunnelSide) int64 { return t.from[1-s].sent }

// Moved returns how many bytes were read or written. It only grows.
func (t *Tunnel) Moved() (n int64) {
	for i := range t.from {
		n += t.from[i].received + t.from[i].sent
	}
	return n
}

// Waiting reports whether bytes wait until a side has room for them.
func (t *Tunnel) Waiting(s TunnelSide) bool { return t.from[1-s].blocked }

// Ended reports whether a side has sent its last byte, or nothing that it sends can be passed on.
func (t *Tunnel) Ended(s TunnelSide) bool { return t.from[s].ended }

// Close closes the upstream, and leaves the client to the caller, which need not wait for room in its socket any more.
func (t *Tunnel) Close() {
	for i := range t.from {
		t.from[i].stop(t.b)
	}
	_ = t.ends[TunnelClient].watch.WantRoom(false)
	t.ends[Upstream].watch.Remove()
	t.ends[Upstream].Close()
}

// TunnelOwner has made a Link. Its method is called on the loop.
type TunnelOwner interface {
	// Ended is called once. proper reports whether the client was sent all bytes of the upstream.
	Ended(proper bool)
}

// TunnelLink is the tunnel of a connection, and its conn.Protocol. What the connection sends after the end of the tunnel is thrown
// away.
type TunnelLink struct {
	tunnel   *Tunnel
	owner    TunnelOwner
	set      *Set
	conn     *Conn
	before   Protocol // what the connection spoke before, which is told of its end, too
	socket   Side     // of the upstream, until Begin
	buffers  *TunnelBuffers
	upstream eventloop.Watch
	idle     int64       // nanoseconds without a byte; 0: no limit
	head     int64       // bytes of the head of the response
	taken    int64       // time when the client last read data
	failed   func(error) // is told why the tunnel has ended
	over     bool
}

const (
	// halfIdle is how long a tunnel may be silent when one side has sent its last byte.
	halfIdle = int64(30 * time.Second)

	// lookAgain is how often the deadline of a tunnel without a limit is looked at.
	lookAgain = int64(time.Minute)
)

// Open makes a tunnel of a connection of s to an upstream, which it takes. The tunnel ends after the time idle without a byte in either
// direction; 0: never. ended is called when it has ended for a reason that an operator should see. Begin has to follow at once. With an
// error nothing has changed.
func (b *TunnelBuffers) Open(h TunnelOwner, s *Set, upstream Side, idle time.Duration, ended func(error)) (*TunnelLink, error) {
	l := &TunnelLink{owner: h, set: s, buffers: b, socket: upstream, idle: int64(idle), taken: s.Now, failed: ended}
	if err := s.Events.Add(&l.upstream, upstream.Fd(), l); err != nil {
		return nil, err
	}
	return l, nil
}

// Begin makes the connection c the other end of l. It sends the client first, which begins with a head of so many bytes, and the upstream
// the pending input of the connection.
func (l *TunnelLink) Begin(c *Conn, first []byte, head int) {
	l.conn, l.before, l.head = c, c.Protocol(), int64(head)
	l.tunnel = NewTunnel(c.Socket(), l.socket, c.Watch(), &l.upstream, l.buffers)
	c.Unpause()
	c.Upgrade(l)
	c.Watch().Handle(client{l})
	c.Stamp = l.set.Now
	l.conn.Schedule()
	over, err := l.tunnel.Open(l.conn.Pending(), first)
	l.conn.DropInput()
	l.passed(over, err)
}

// Carried returns how many bytes have come from the client, and how many it was sent, without the head.
func (l *TunnelLink) Carried() (in, out int64) {
	return l.tunnel.Received(TunnelClient), max(0, l.tunnel.Sent(TunnelClient)-l.head)
}

// TunnelClient returns the connection of the client.
func (l *TunnelLink) Client() *Conn { return l.conn }

// Ready implements eventloop.Handler, for the upstream.
func (l *TunnelLink) Ready(r eventloop.Readiness) { l.pass(Upstream, r) }

// client is told of news of the client, in the place of its connection.
type client struct{ *TunnelLink }

// Ready implements eventloop.Handler.
func (c client) Ready(r eventloop.Readiness) {
	if r == eventloop.Unwatched {
		c.conn.Ready(r)
		return
	}
	c.pass(TunnelClient, r)
}

// pass passes bytes on when there is news of a side.
func (l *TunnelLink) pass(s TunnelSide, r eventloop.Readiness) {
	moved, taken := l.tunnel.Moved(), l.tunnel.Sent(TunnelClient)
	over, err := l.tunnel.Ready(s, r)
	if l.tunnel.Moved() > moved {
		l.conn.Stamp = l.set.Now
	}
	if l.tunnel.Sent(TunnelClient) > taken {
		l.taken = l.set.Now
	}
	l.passed(over, err)
}

// passed acts on the results of the tunnel.
func (l *TunnelLink) passed(over bool, err error) {
	switch {
	case errors.Is(err, ErrClientGone):
		l.conn.Close(err.Error())
	case err != nil:
		l.failed(err)
		l.end(true)
	case over:
		l.end(true)
	case l.tunnel.Waiting(TunnelClient) || l.half():
		l.conn.Schedule() // this may end sooner than where it is in the wheel
	}
}

// half reports whether one side has sent its last byte.
func (l *TunnelLink) half() bool { return l.tunnel.Ended(TunnelClient) || l.tunnel.Ended(Upstream) }

// end ends the tunnel before its connection, which lingers, because the last bytes must not be lost.
func (l *TunnelLink) end(proper bool) {
	c := l.conn
	if l.tunnel.Ended(TunnelClient) {
		c.Half = true
	}
	l.over = true
	l.tunnel.Close()
	c.Watch().Handle(c)
	c.Reset, c.Linger = !proper, true
	c.ReadAgain()
	l.owner.Ended(proper)
	c.Finish()
}

// slow returns when the client has taken nothing for too long.
func (l *TunnelLink) slow() int64 { return l.taken + eventloop.Tick + int64(l.set.WriteTimeout) }

// deadline returns when Due has something to do.
func (l *TunnelLink) deadline() int64 {
	due := l.set.Now + lookAgain
	if l.over {
		return due
	}
	if l.idle > 0 {
		due = l.conn.Stamp + eventloop.Tick + l.idle
	}
	if l.half() {
		due = min(due, l.conn.Stamp+eventloop.Tick+halfIdle)
	}
	if l.tunnel.Waiting(TunnelClient) {
		due = min(due, l.slow())
	}
	return due
}

// Due implements conn.Protocol. A handler that runs inline may have kept the loop from the tunnel.
func (l *TunnelLink) Due() (next int64) {
	if at := l.deadline(); at > l.set.Now {
		return at
	}
	for _, s := range []TunnelSide{TunnelClient, Upstream} {
		if !l.over {
			l.pass(s, eventloop.Readable|eventloop.Writable)
		}
	}
	switch {
	case l.over || l.deadline() > l.set.Now:
	case l.tunnel.Waiting(TunnelClient) && l.slow() <= l.set.Now:
		l.set.Log(logfile.Info, "%s: closed after write timeout of %v", l.conn, l.set.WriteTimeout)
		l.end(false)
	case l.half():
		l.end(true)
	default:
		l.failed(fmt.Errorf("idle timeout of %v exceeded", time.Duration(l.idle)))
		l.end(true)
	}
	return l.deadline()
}

// Closed implements conn.Protocol.
func (l *TunnelLink) Closed() {
	ended := l.over
	if !ended {
		l.over = true
		l.tunnel.Close()
	}
	l.before.Closed()
	if !ended {
		l.owner.Ended(false)
	}
}

// Input implements conn.Protocol. The tunnel reads by itself.
func (l *TunnelLink) Input([]byte) {}

// EOF implements conn.Protocol.
func (l *TunnelLink) EOF() bool { return false }

// Room implements conn.Protocol: the farewell of TLS had no room.
func (l *TunnelLink) Room(ended bool) {
	if ended && l.over {
		l.conn.Finish()
	}
}

// Drain implements conn.Protocol. A tunnel goes on until it ends, or the server closes it.
func (l *TunnelLink) Drain(bool) {}

// flow is one direction of a tunnel.
type flow struct {
	from, to *end
	pending  []byte // what to had no room for; nothing is read meanwhile
	buf      []byte // what pending is part of
	received int64  // bytes that were read
	sent     int64  // bytes that to has taken
	blocked  bool   // it waits for room
	ended    bool   // from has sent its last byte, or to is broken
	over     bool   // and to was shut down for writing
}

const (
	readSize  = 64 << 10 // how much is read at once
	turnReads = 8        // how often, until others have their turn
)

// TunnelBuffers is the memory that the tunnels of a loop share. Its zero value is ready.
type TunnelBuffers struct {
	read  []byte // that sockets are read into
	spare []byte // for bytes that wait
}

// move passes bytes on, as far as some have come and there is room. An error is that of broken.
func (f *flow) move(b *TunnelBuffers) (broken *end, err error) {
	for turn := 0; !f.over; turn++ {
		if err := f.flush(b); err != nil {
			return f.to, err
		}
		switch {
		case f.blocked:
			return nil, nil
		case f.ended:
			return f.to, f.finish()
		case !f.from.readable:
			return nil, nil
		case turn == turnReads:
			f.from.watch.Again()
			return nil, nil
		}
		if err := f.pass(b); err != nil {
			return f.from, err
		}
	}
	return nil, nil
}

// pass reads once. Bytes that the other end does not take are pending then.
func (f *flow) pass(b *TunnelBuffers) error {
	if b.read == nil {
		b.read = make([]byte, readSize)
	}
	n, err := f.from.Read(b.read)
	switch {
	case err == unix.EAGAIN:
		f.from.readable, f.from.untilEmpty = false, false
		return nil
	case err == io.EOF:
		f.ended = true
		return nil
	case err != nil:
		return err
	}
	f.from.readable = n == len(b.read) || f.from.untilEmpty
	f.received += int64(n)
	taken, _ := f.to.Write(b.read[:n]) // flush meets the same error
	f.sent += int64(taken)
	f.keep(b, b.read[taken:n])
	return nil
}

// flush writes the pending bytes. If it cannot write all of them, the flow is blocked.
func (f *flow) flush(b *TunnelBuffers) error {
	f.blocked = false
	for len(f.pending) > 0 {
		n, err := f.to.Write(f.pending)
		if err != nil {
			return f.waits(err)
		}
		f.sent += int64(n)
		f.pending = f.pending[n:]
	}
	f.drop(b)
	return f.waits(f.to.Flush())
}

// finish shuts the other end down, and may have to be called again when there is room.
func (f *flow) finish() error {
	if err := f.to.CloseWrite(); err != nil {
		return err
	}
	err := f.waits(f.to.Flush())
	f.over = err == nil && !f.blocked
	return err
}

// waits makes the flow blocked if err says that there is no room. It returns other errors.
func (f *flow) waits(err error) error {
	if err == unix.EAGAIN {
		f.blocked = true
		return nil
	}
	return err
}

// keep copies bytes that the other end has not taken; nothing else is pending.
func (f *flow) keep(b *TunnelBuffers, data []byte) {
	if len(data) == 0 {
		return
	}
	if cap(b.spare) >= len(data) {
		f.buf, b.spare = b.spare, nil
	}
	f.buf = append(f.buf[:0], data...)
	f.pending = f.buf
}

// drop gives the memory of pending back. A single buffer is kept: it saves an allocation for each read of a fast stream to a
// slow reader, and a slow reader that has read everything needs none.
func (f *flow) drop(b *TunnelBuffers) {
	if cap(f.buf) > cap(b.spare) {
		b.spare = f.buf
	}
	f.buf, f.pending = nil, nil
}

// stop ends a flow whose other end takes nothing any more.
func (f *flow) stop(b *TunnelBuffers) {
	f.drop(b)
	f.blocked, f.ended, f.over = false, true, true
}
