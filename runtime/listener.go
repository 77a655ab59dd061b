package runtime

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"fapws/runtime/channel"
	"fapws/runtime/descriptors"
	"fapws/runtime/eventloop"

	"golang.org/x/sys/unix"
)

// listener is a client of channels. There may be very many that do nothing, so it
// is not a conn, which costs more than twice as much: it has nothing but this and a
// descriptor that the loop watches. It belongs to the loop.
type listener struct {
	h       *channels
	watch   eventloop.Watch // its descriptor; none: its connection is still a conn, which writes what the handler gave
	minor   uint8           // HTTP/1.minor
	state   listenerState
	input   uint16 // bytes the client has sent, which it should not
	port    uint16
	slot    int16  // of beats
	beat    int32  // its place there
	active  int32  // ticks of loop.now when something was sent last
	started uint32 // seconds since 1970
	framed  uint32 // bytes of the response that are not its body
	sent    int64  // bytes of the body
	seats   channel.Seats[*listener]
	seq     uint64 // all events of its channels up to this one were given to it
	addr    netip.Addr
	queue   *queue // what it has not taken; nil: nothing
	log     *logEntry
	extra   *extra
	number  uint64
}

// extra is what most listeners do not have.
type extra struct{ user, lastID string }

type listenerState uint8

const (
	listenerJoining listenerState = iota // see listener.watch
	listenerIdle                         // it has taken everything
	listenerBehind                       // it has not
	listenerEnding                       // and when it has, it is closed
	listenerGone
)

// queue is what waits until a listener takes it. Events are shared by all.
type queue struct {
	events []*channel.Event
	off    int    // bytes of events[0] that were taken
	bytes  int    // of events of a cast, which are bounded
	free   int    // how many in front are not: what it joined with
	stamp  int64  // loop.now when it took something last
	grace  uint32 // cast.grace when it began to be waited for
}

// Seats implements channel.Listener.
func (p *listener) Seats() *channel.Seats[*listener] { return &p.seats }

// firstListener returns where the numbers of this process's listeners begin.
func firstListener() uint64 { return uint64(os.Getpid())<<30 + 1 }

// Ready implements eventloop.Handler.
func (p *listener) Ready(r eventloop.Readiness) {
	h := p.h
	if r&(eventloop.Readable|eventloop.MaybeGone) != 0 {
		h.read(p)
	}
	if r&eventloop.Writable != 0 && p.state != listenerGone {
		h.room(p)
	}
	if c := &h.cast; len(c.backlog) > 0 && c.young == 0 && !c.turning {
		c.turning = true
		h.waker.Wake() // the next batch waits for no listener any more
	}
}

// maxListenerInput bounds what a listener may send; there is no use in any of it.
const maxListenerInput = 16 << 10

// read takes what a listener has sent: nothing that counts, but its end.
func (h *channels) read(p *listener) {
	var buf [4 << 10]byte
	for {
		n, err := receive(p.watch.Fd(), buf[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			h.end(p, err.Error())
			return
		case n == 0:
			h.end(p, "the client has left")
			return
		case int(p.input)+n > maxListenerInput:
			h.drop(p, "has sent more than a request")
			return
		default:
			p.input += uint16(n)
		}
	}
}

func (p *listener) client() *ChannelClient {
	c := &ChannelClient{Number: p.number}
	if p.addr.IsValid() {
		c.Address = p.addr.String()
	}
	if p.port != 0 {
		c.Port = strconv.Itoa(int(p.port))
	}
	if p.extra != nil {
		c.User, c.LastEventID = p.extra.user, p.extra.lastID
	}
	return c
}

// String is how the error log calls the client.
func (p *listener) String() string {
	c := p.client()
	switch {
	case c.Address == "":
		return "unix client " + strconv.Itoa(p.watch.Fd())
	case c.Port == "":
		return c.Address
	}
	return net.JoinHostPort(c.Address, c.Port)
}

// addressKey is what counts as one client: of IPv6 a network, as each client
// has one.
func addressKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if network, err := a.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return a
}

// dropSlow drops listeners that took nothing for too long.
func (h *channels) dropSlow() {
	for p := range h.laggards {
		if h.l.now-p.queue.stamp > int64(h.l.cfg.WriteTimeout)+tickLength {
			h.drop(p, "took nothing for "+h.l.cfg.WriteTimeout.String())
		}
	}
}

// drop ends a listener that does not take what it gets, so that the kernel forgets
// it, too.
func (h *channels) drop(p *listener, why string) {
	if p.state == listenerJoining {
		h.abandon(p) // its connection is ended when its turn comes: see seat
		return
	}
	h.blame(LevelInfo, p.String(), "a listener of "+p.seats.Names()[0]+" "+why+" and has been dropped")
	resetOnClose(p.watch.Fd())
	h.end(p, why)
}

// end takes p, whose connection is broken or has been dealt with, out of everything.
func (h *channels) end(p *listener, why string) {
	if p.state == listenerGone {
		return
	}
	l := h.l
	if l.debug >= 2 {
		l.tracef("%s listens no more: %s", p, why)
	}
	unix.Close(h.detach(p, true))
	if p.log != nil {
		l.accountListener(p)
	}
	l.makeRoom(true)
}

// detach makes the loop know nothing of p, whose descriptor it returns. tell: it has left.
func (h *channels) detach(p *listener, tell bool) (fd int) {
	if p.queue != nil {
		h.caughtUp(p)
		p.queue = nil
	}
	p.state = listenerGone
	fd = p.watch.Fd()
	p.watch.Remove()
	descriptors.Release(fd)
	h.beats.remove(p)
	h.live--
	h.leave(p, tell)
	return fd
}

// leave takes p out of its channels.
func (h *channels) leave(p *listener, tell bool) {
	names := p.seats.Names()
	h.hub.Leave(p)
	h.joined--
	if key := addressKey(p.addr); p.addr.IsValid() {
		if h.addresses[key]--; h.addresses[key] <= 0 {
			delete(h.addresses, key)
		}
	}
	if tell && h.cfg.Left != nil {
		client := p.client()
		for _, name := range names {
			h.cfg.Left(name, client)
		}
	}
	h.counted(names)
}

var finalChunk = channel.NewBytes("0\r\n\r\n")

// finish ends p as a stream ends, so that its client comes back after a while.
func (h *channels) finish(p *listener) {
	if p.state == listenerEnding {
		return
	}
	idle := p.state == listenerIdle
	if p.minor > 0 {
		h.send(p, []*channel.Event{finalChunk})
	}
	switch {
	case p.state == listenerGone:
	case idle && p.queue == nil:
		h.end(p, "the server is shutting down")
	default:
		p.state = listenerEnding
	}
}

// finishAll ends all listeners. What has been published is sent before.
func (h *channels) finishAll() {
	h.castAll()
	for p := range h.beats.all {
		h.finish(p)
	}
}

// closeAll is for those that finishAll has left.
func (h *channels) closeAll() {
	for p := range h.beats.all {
		resetOnClose(p.watch.Fd())
		h.end(p, "the server has shut down")
	}
}

// accountListener writes the log lines of a listener that has ended.
func (l *loop) accountListener(p *listener) {
	x := flight{log: p.log, conn: accounted, handler: recorded{}, status: 200, sent: p.sent, framed: int64(p.framed)}
	p.log = nil
	l.account(&x)
}

// accounted stands for the connection of a listener in what account reads.
var accounted = &conn{state: stateEnding}

// maxGone is below what the kernel takes, in milliseconds.
const maxGone = 24 * time.Hour

// goneAfter is how long a client may acknowledge nothing.
func (h *channels) goneAfter() time.Duration { return 2 * h.cfg.Heartbeat }
