package live

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/logfile"

	"golang.org/x/sys/unix"
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
	Started     int64  // seconds since 1970
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

	// exportTick is how often subscribers that have not taken everything are looked at.
	exportTick = 5 * time.Millisecond
)

// detached is a subscriber that Export has taken from the loop.
type detached struct {
	p     *StreamSubscriber
	d     *StreamState
	fd    int
	ended bool
}

// Export gives all subscribers away, one after the other: give gets the state of one, and its descriptor, which is closed when give
// returns. This server knows nothing of it any more then; it is not shut down. Subscribers that have not taken
// everything after a second are dropped, and clients that subscribe later are told to come
// back. Config.HandOver has to be set. Export returns the number of subscribers that were given away. The error is that of give, whose
// subscriber is ended, or ctx's: the others are still there.
//
// It must not be called on the loop; give runs on the caller's goroutine.
func (s *Subscribers) Export(ctx context.Context, give func(d *StreamState, fd int) error) (n int, err error) {
	for end := time.Now().Add(exportPatience); ; {
		var list []detached
		more, late := false, time.Now().After(end)
		s.server.Do(func() { list, more = s.export(late) })
		for i, e := range list {
			if err == nil {
				err = give(e.d, e.fd)
			}
			if err != nil {
				endStream(e.fd, e.d.Minor)
				list[i].ended = true
			} else {
				n++
			}
			unix.Close(e.fd)
		}
		s.server.Do(func() {
			for _, e := range list {
				if e.ended {
					s.account(e.p)
				}
				s.server.Count(-1)
			}
			if err != nil || !more {
				s.release()
			}
		})
		switch {
		case err != nil || !more:
			return n, err
		case ctx.Err() != nil:
			return n, ctx.Err()
		case len(list) == 0:
			time.Sleep(exportTick)
		}
	}
}

// export takes some subscribers out. more: there are others. late: a subscriber that has not taken
// everything is dropped.
func (s *Subscribers) export(late bool) (list []detached, more bool) {
	s.Take()
	if !late && s.fanout.Sending() {
		return nil, true // what they have got is less to ask for
	}
	for p := range s.heartbeats.all {
		switch {
		case len(list) == exportAtOnce:
			return list, true
		case p.stream() != nil: // it is ending: nothing else could go on with it
		case p.state == idle:
			d := p.describe()
			list = append(list, detached{p, d, s.detach(p, false), false})
		case late:
			s.drop(p, "has not taken everything before it could be handed over")
		default:
			more = true
		}
	}
	return list, more
}

// release ends that subscribers stay while the server retires.
func (s *Subscribers) release() {
	s.stay = false
	if s.retiring {
		s.Drain()
	}
}

func (p *StreamSubscriber) describe() *StreamState {
	c := p.client()
	d := &StreamState{
		Names: p.position.Names(), Seq: p.s.fanout.Reached(p), Minor: p.minor, Number: p.number,
		Address: c.Address, Port: p.port, User: c.User, LastEventID: c.LastEventID,
		Started: int64(p.started), Sent: p.sent, Framed: int64(p.framed),
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
	errLost    = errors.New("events of its channels have been lost")
)

// Import serves a subscriber that Export has given away, perhaps in
// another process. It owns fd from now on, also if there is an error: then the client is told to
// come back. It must not be called on the loop, and not before the server serves.
func (s *Subscribers) Import(d *StreamState, fd int) error {
	err := d.check()
	if err == nil {
		err = errStopped
		s.server.Do(func() { err = s.resume(d, fd) })
	}
	if err != nil {
		endStream(fd, d.Minor)
		unix.Close(fd)
	}
	return err
}

func (d *StreamState) check() error {
	if len(d.Names) == 0 || len(d.Names) > MaxNames {
		return fmt.Errorf("a subscriber of %d channels", len(d.Names))
	}
	for i, name := range d.Names {
		if err := CheckChannelName(name); err != nil {
			return err
		}
		if slices.Contains(d.Names[:i], name) {
			return fmt.Errorf("a subscriber twice of %s", name)
		}
	}
	return nil
}

// resume begins to serve the subscriber that d and fd are.
func (s *Subscribers) resume(d *StreamState, fd int) error {
	switch {
	case s.server.Full():
		return errFull
	case !s.fanout.Complete(d.Seq):
		return errLost
	}
	addr, _ := netip.ParseAddr(d.Address)
	p := s.make(addr, d.Port, d.Minor)
	p.number, p.started, p.sent, p.framed = d.Number, uint32(d.Started), d.Sent, uint32(d.Framed)
	p.know(d.User, d.LastEventID)
	if err := s.attach(p, fd); err != nil {
		return err
	}
	if d.Log != nil {
		p.log = s.server.RecordOf(d.Log)
	}
	s.server.Count(1)
	s.replay(p, d.Seq, s.fanout.Since(d.Names, d.Seq))
	s.join(p, d.Names)
	s.begin(p)
	return nil
}
