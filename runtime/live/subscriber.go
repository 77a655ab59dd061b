package live

import (
	"net"
	"net/netip"
	"os"
	"strconv"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

// StreamSubscriber is a client of channels. There may be very many that do nothing, so it has nothing but this struct and a
// descriptor that the loop watches. It belongs to the loop.
type StreamSubscriber struct {
	s        *Subscribers
	watch    eventloop.Watch // its descriptor; none: it has a stream, or the connection of its request still writes what the handler gave
	minor    uint8           // HTTP/1.minor
	state    state
	input    uint16 // bytes the client has sent, which it should not
	port     uint16
	slot     int16  // of heartbeatSchedule
	beat     int32  // its place there
	active   int32  // ticks of Host.Now when something was sent last
	started  uint32 // seconds since 1970
	framed   uint32 // bytes of the response that are not its body
	sent     int64  // bytes of the body
	position Position[*StreamSubscriber]
	addr     netip.Addr
	queue    *queue // what it has not taken; nil: nothing
	log      *logfile.Record
	extra    *extra
	number   uint64
}

// extra is what most subscribers do not have.
type extra struct {
	user, lastID string
	stream       *stream
}

// stream returns the stream of p, nil if it has a descriptor.
func (p *StreamSubscriber) stream() *stream {
	if p.extra == nil {
		return nil
	}
	return p.extra.stream
}

// onRoom is called when the stream of p has room again.
func (p *StreamSubscriber) onRoom() {
	if p.state != gone {
		p.s.room(p)
	}
	p.s.fanout.Continue()
}

// onGone is called when the stream of p has ended by itself.
func (p *StreamSubscriber) onGone(why string) {
	if p.state != gone {
		p.s.host.Tracef("%s unsubscribed: %s", p, why)
		p.s.leaveStream(p)
	}
}

type state uint8

const (
	joining state = iota // see Subscriber.watch
	idle                 // it has taken everything
	behind               // it has not
	ending               // and when it has, it is closed
	gone
)

// queue is what waits until a subscriber takes it. Events are shared by all.
type queue struct {
	events []*Event
	off    int   // bytes of events[0] that were taken
	bytes  int   // of events of a batch, which are bounded
	free   int   // how many in front are not: what it joined with
	stamp  int64 // StreamHost.Now when it took something last
}

// Position implements live.Subscriber.
func (p *StreamSubscriber) Position() *Position[*StreamSubscriber] { return &p.position }

// firstNumber returns the number of this process's first subscriber.
func firstNumber() uint64 { return uint64(os.Getpid())<<30 + 1 }

// Ready implements eventloop.Handler.
func (p *StreamSubscriber) Ready(r eventloop.Readiness) {
	s := p.s
	if r&(eventloop.Readable|eventloop.MaybeGone) != 0 {
		s.read(p)
	}
	if r&eventloop.Writable != 0 && p.state != gone {
		s.room(p)
	}
	s.fanout.Continue()
}

// maxInput bounds what a subscriber may send, in bytes; there is no use in any of it.
const maxInput = 16 << 10

// read takes what a subscriber has sent: nothing that counts, but its end.
func (s *Subscribers) read(p *StreamSubscriber) {
	var buf [4 << 10]byte
	for {
		n, err := system.Receive(p.watch.Fd(), buf[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			s.end(p, err.Error())
			return
		case n == 0:
			s.end(p, "the client has disconnected")
			return
		case int(p.input)+n > maxInput:
			s.drop(p, "has sent more than a request")
			return
		default:
			p.input += uint16(n)
		}
	}
}

// client returns the subscriber as applications see it.
func (p *StreamSubscriber) client() *StreamClient {
	c := &StreamClient{Number: p.number}
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
func (p *StreamSubscriber) String() string {
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
