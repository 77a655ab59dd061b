package runtime

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/descriptors"
	"fapws/runtime/eventloop"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/pubsub"

	"golang.org/x/sys/unix"
)

// subscriber is a client of channels. There may be very many that do nothing, so it
// is not a conn, which costs more than twice as much: it has nothing but this and a
// descriptor that the loop watches. It belongs to the loop.
type subscriber struct {
	h        *channels
	watch    eventloop.Watch // its descriptor; none: its connection is still a conn, which writes what the handler gave
	minor    uint8           // HTTP/1.minor
	state    subscriberState
	input    uint16 // bytes the client has sent, which it should not
	port     uint16
	slot     int16  // of heartbeatSchedule
	beat     int32  // its place there
	active   int32  // ticks of loop.now when something was sent last
	started  uint32 // seconds since 1970
	framed   uint32 // bytes of the response that are not its body
	sent     int64  // bytes of the body
	position pubsub.Position[*subscriber]
	addr     netip.Addr
	queue    *queue // what it has not taken; nil: nothing
	log      *accesslog.Record
	extra    *extra
	number   uint64
}

// extra is what most subscribers do not have.
type extra struct{ user, lastID string }

type subscriberState uint8

const (
	subscriberJoining subscriberState = iota // see subscriber.watch
	subscriberIdle                           // it has taken everything
	subscriberBehind                         // it has not
	subscriberEnding                         // and when it has, it is closed
	subscriberGone
)

// queue is what waits until a subscriber takes it. Events are shared by all.
type queue struct {
	events []*pubsub.Event
	off    int   // bytes of events[0] that were taken
	bytes  int   // of events of a batch, which are bounded
	free   int   // how many in front are not: what it joined with
	stamp  int64 // loop.now when it took something last
}

// Position implements pubsub.Subscriber.
func (p *subscriber) Position() *pubsub.Position[*subscriber] { return &p.position }

// firstSubscriber returns where the numbers of this process's subscribers begin.
func firstSubscriber() uint64 { return uint64(os.Getpid())<<30 + 1 }

// Ready implements eventloop.Handler.
func (p *subscriber) Ready(r eventloop.Readiness) {
	h := p.h
	if r&(eventloop.Readable|eventloop.MaybeGone) != 0 {
		h.read(p)
	}
	if r&eventloop.Writable != 0 && p.state != subscriberGone {
		h.room(p)
	}
	h.fanout.Continue()
}

// maxSubscriberInput bounds what a subscriber may send; there is no use in any of it.
const maxSubscriberInput = 16 << 10

// read takes what a subscriber has sent: nothing that counts, but its end.
func (h *channels) read(p *subscriber) {
	var buf [4 << 10]byte
	for {
		n, err := netio.Receive(p.watch.Fd(), buf[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			h.end(p, err.Error())
			return
		case n == 0:
			h.end(p, "the client has left")
			return
		case int(p.input)+n > maxSubscriberInput:
			h.drop(p, "has sent more than a request")
			return
		default:
			p.input += uint16(n)
		}
	}
}

func (p *subscriber) client() *ChannelClient {
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
func (p *subscriber) String() string {
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

// dropSlow drops subscribers that took nothing for too long.
func (h *channels) dropSlow() {
	for p := range h.fanout.Lagging {
		if h.l.now()-p.queue.stamp > int64(h.l.cfg.WriteTimeout)+tickLength {
			h.drop(p, "took nothing for "+h.l.cfg.WriteTimeout.String())
		}
	}
}

// drop ends a subscriber that does not take what it gets, so that the kernel forgets
// it, too.
func (h *channels) drop(p *subscriber, why string) {
	if p.state == subscriberJoining {
		h.abandon(p) // its connection is ended when its turn comes: see promoteToSubscriber
		return
	}
	h.blame(loglevel.Info, p.String(), "a subscriber of "+p.position.Names()[0]+" "+why+" and has been dropped")
	resetOnClose(p.watch.Fd())
	h.end(p, why)
}

// end takes p, whose connection is broken or has been dealt with, out of everything.
func (h *channels) end(p *subscriber, why string) {
	if p.state == subscriberGone {
		return
	}
	l := h.l
	if l.debug >= 2 {
		l.tracef("%s listens no more: %s", p, why)
	}
	unix.Close(h.detach(p, true))
	if p.log != nil {
		l.accountSubscriber(p)
	}
	l.makeRoom(true)
}

// detach makes the loop know nothing of p, whose descriptor it returns. tell: it has left.
func (h *channels) detach(p *subscriber, tell bool) (fd int) {
	if p.queue != nil {
		h.fanout.CaughtUp(p)
		p.queue = nil
	}
	p.state = subscriberGone
	fd = p.watch.Fd()
	p.watch.Remove()
	descriptors.Release(fd)
	h.heartbeats.remove(p)
	h.live--
	h.leave(p, tell)
	return fd
}

// leave takes p out of its channels.
func (h *channels) leave(p *subscriber, tell bool) {
	names := p.position.Names()
	h.fanout.Leave(p)
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
	h.counted(h.fanout.Count, names...)
}

var finalChunk = pubsub.NewBytes("0\r\n\r\n")

// finish ends p as a stream ends, so that its client comes back after a while.
func (h *channels) finish(p *subscriber) {
	if p.state == subscriberEnding {
		return
	}
	idle := p.state == subscriberIdle
	if p.minor > 0 {
		h.send(p, []*pubsub.Event{finalChunk})
	}
	switch {
	case p.state == subscriberGone:
	case idle && p.queue == nil:
		h.end(p, "the server is shutting down")
	default:
		p.state = subscriberEnding
	}
}

// finishAll ends all subscribers. What has been published is sent before.
func (h *channels) finishAll() {
	h.fanout.Finish(h.now())
	for p := range h.heartbeats.all {
		h.finish(p)
	}
}

// closeAll is for those that finishAll has left.
func (h *channels) closeAll() {
	for p := range h.heartbeats.all {
		resetOnClose(p.watch.Fd())
		h.end(p, "the server has shut down")
	}
}

// accountSubscriber writes the log lines of a subscriber that has ended.
func (l *loop) accountSubscriber(p *subscriber) {
	x := Exchange{log: p.log, conn: accounted, appState: appState{handler: recorded{}}, status: 200, sent: p.sent, framed: int64(p.framed)}
	p.log = nil
	l.account(&x)
}

// accounted stands for the connection of a subscriber in what account reads.
var accounted = &httpConn{state: stateEnding}

// maxGone is below what the kernel takes, in milliseconds.
const maxGone = 24 * time.Hour

// goneAfter is how long a client may acknowledge nothing.
func (h *channels) goneAfter() time.Duration { return 2 * h.cfg.Heartbeat }
