package conn

import (
	"errors"
	"fmt"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

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
	exchange.Socket
	watch      *eventloop.Watch
	readable   bool // something may have come that was not read
	untilEmpty bool // readable until Read returns EAGAIN, however short a read is
}

// ErrClientGone is why a tunnel is over whose client has broken the connection.
var ErrClientGone = errors.New("the client has disconnected")

// NewTunnel makes a tunnel between two sockets that are already watched: the caller passes on what their handlers are told, by
// Ready. b is for all tunnels of the loop.
func NewTunnel(client, upstream exchange.Socket, clientWatch, upstreamWatch *eventloop.Watch, b *TunnelBuffers) *Tunnel {
	t := &Tunnel{b: b}
	t.ends[TunnelClient] = end{Socket: client, watch: clientWatch}
	t.ends[Upstream] = end{Socket: upstream, watch: upstreamWatch}
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
	if s == TunnelClient && r&eventloop.MaybeGone != 0 && system.Broken(e.Fd()) {
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
