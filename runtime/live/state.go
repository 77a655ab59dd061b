package live

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// A server that retires hands its subscribers to its successor: their
// descriptors, and with each the number of the last event that it was given. As events have the
// same numbers in both, the new server sends what it keeps of later events, and does not send
// those that the subscriber has: nothing is lost, and nothing comes twice, if
//
//   - the new server takes all events from some number K on (Publish), and
//     the old one those up to K-1, before it exports;
//   - the new one forgets none of them until it has imported (Hold).
//
// If the new server has forgotten one of them, it ends the stream: the client reconnects, and gets the events that are kept
// behind its Last-Event-ID. Either server may be ahead of the other.

// StreamState is a subscriber that goes from one server to another, for JSON. It
// is at most 70 KiB there.
type StreamState struct {
	Names       []string
	Seq         uint64 // it has been given all events of its channels up to this one
	Minor       uint8  // HTTP/1.minor
	Number      uint64
	Address     string `json:",omitempty"`
	Port        uint16 `json:",omitempty"`
	User        string `json:",omitempty"`
	LastEventID string `json:",omitempty"`
	Sent        int64  // bytes of the body
	Framed      int64  // bytes of the rest of the response

	Log *logfile.State `json:",omitempty"` // of the line in the access log to come
}

const (
	// exportAtOnce subscribers are taken from the loop in one go.
	exportAtOnce = 64

	// exportPatience is how long Export waits for subscribers that have not taken
	// everything.
	exportPatience = time.Second
)

// Export gives all subscribers away, one after the other: see export. Subscribers that have not taken everything after a second are
// dropped, and clients that subscribe later are told to come back, as are all others if give has failed or ctx ends.
// StreamConfig.HandOver has to be set.
func (s *Subscribers) Export(ctx context.Context, give func(d any, fd int) error) (n int, err error) {
	return export(ctx, give, s.loop.Do, exportPatience, func(late, stop bool) (list []departed, more bool) {
		if stop {
			return nil, false
		}
		return s.sweep(late)
	}, s.release)
}

// sweep takes some subscribers out. more: there are others. late: a subscriber that has not taken
// everything is dropped.
func (s *Subscribers) sweep(late bool) (list []departed, more bool) {
	s.Take()
	if !late && s.Sending() {
		return nil, true // what they have got is less to ask for
	}
	for p := range s.all {
		switch {
		case len(list) == exportAtOnce:
			return list, true
		case !p.movable(): // it is ending: nothing else could go on with it
		case p.state == idle:
			list = append(list, s.depart(p))
		case late:
			s.drop(p, "has not taken everything before it could be handed over")
		default:
			more = true
		}
	}
	return list, more || len(list) > 0
}

// depart takes p from the loop.
func (s *Subscribers) depart(p *StreamSubscriber) departed {
	c, d := p.conn, p.describe()
	s.remove(p, false)
	p.conn = nil
	c.Unwatch()
	c.Detach()
	return departed{d, c.Fd(), func() {
		endStream(c.Fd(), d.Minor)
		unix.Close(c.Fd())
		s.loop.Do(func() { s.account(p) })
	}}
}

// release ends that subscribers stay while the server retires.
func (s *Subscribers) release() {
	s.stay = false
	if s.retiring {
		s.Drain(false)
	}
}

func (p *StreamSubscriber) describe() *StreamState {
	c := p.client()
	d := &StreamState{
		Names: p.position.Names(), Seq: p.s.Reached(p), Minor: p.minor, Number: p.number,
		Address: c.Address, Port: p.port, User: c.User, LastEventID: c.LastEventID,
		Sent: p.sent, Framed: int64(p.framed),
	}
	if p.log != nil {
		d.Log = p.log.State()
	}
	return d
}

// endStream ends the stream of a client that has no server, as far as that can be done at
// once.
func endStream(fd int, minor uint8) {
	if minor > 0 {
		_, _ = conn.Send(fd, finalChunk.Wire(minor), 0)
	}
	_ = unix.Shutdown(fd, unix.SHUT_WR)
}

var (
	errFull    = errors.New("the limit of connections is reached")
	errStopped = errors.New("the server has stopped")
)

// Import serves a subscriber that Export has given away, perhaps in
// another process. It owns fd from now on, also if there is an error: then the client is told to
// come back. It must not be called on the loop, and not before the server serves.
func (s *Subscribers) Import(d *StreamState, fd int) error {
	names, err := ParseNames(strings.Join(d.Names, ","))
	if err == nil {
		d.Names = names
		err = errStopped
		s.loop.Do(func() { err = s.resume(d, fd) })
	}
	if err != nil {
		endStream(fd, d.Minor)
		unix.Close(fd)
	}
	return err
}

// resume begins to serve the subscriber that d and fd are.
func (s *Subscribers) resume(d *StreamState, fd int) error {
	switch {
	case s.loop.Full():
		return errFull
	case !s.Complete(d.Seq):
		return errors.New("events of its channels have been lost")
	}
	addr, _ := netip.ParseAddr(d.Address)
	p := &StreamSubscriber{s: s, addr: addr, port: d.Port, minor: d.Minor, number: d.Number, sent: d.Sent, framed: uint32(d.Framed)}
	p.know(d.User, d.LastEventID)
	if err := s.open(p, fd, nil, exchange.AddressOf(net.JoinHostPort(d.Address, strconv.Itoa(int(d.Port))))); err != nil {
		return err
	}
	if d.Log != nil {
		p.log = s.sites.RecordOf(d.Log)
	}
	s.loop.Count(1)
	s.replay(p, d.Seq, s.Since(d.Names, d.Seq))
	s.join(p, d.Names)
	s.begin(p)
	return nil
}
