package live

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// A server that retires hands over its subscribers to its successor: the descriptor of each subscriber, and the number
// of the subscriber's last event. Events have the same numbers in both servers, so the new server sends only events
// with larger numbers. No event is lost or sent twice if
//
//   - the old server takes all events below some number K before it exports, and the new server takes all events from K
//     on (Publish);
//   - the new server keeps these events until the import (Hold).
//
// If the new server no longer has an event that a subscriber needs, it ends the stream. The client then reconnects, and
// gets the stored events after its Last-Event-ID.

// StreamState describes a subscriber that is handed over.
type StreamState struct {
	Names []string
	// the subscriber has received all events of its channels up to this number
	Seq   uint64
	Minor uint8
	StreamClient
	Sent   int64
	Framed int64

	Log *logfile.RecordState `json:",omitempty"`
}

const (
	exportAtOnce = 64

	exportPatience = time.Second

	// exportAgain is the interval between attempts to hand over the remaining subscribers.
	exportAgain = 10 * time.Millisecond
)

// departed is a subscriber that no longer belongs to this server.
type departed struct {
	p  *StreamSubscriber
	fd int
	d  *StreamState
}

// Export hands over all subscribers, one after the other, and returns how many it has handed over. give gets the state
// and the descriptor of each subscriber; afterwards Export closes the descriptor without shutting down the connection.
// If no subscriber could be handed over for a second, Export disconnects those that have not read all their data. After
// an error of give or the end of ctx, which Export returns, it disconnects all remaining subscribers. Clients that
// subscribe after Export are disconnected and must reconnect. StreamConfig.HandOver must be set.
//
// Export must not be called on the loop; give runs on the caller's goroutine.
func (s *Subscribers) Export(ctx context.Context, give func(d *StreamState, fd int) error) (n int, err error) {
	var list []departed
	end := time.Now().Add(exportPatience)
	for more := true; more; {
		if len(list) > 0 {
			end = time.Now().Add(exportPatience)
		}
		stop := err != nil || ctx.Err() != nil
		list, more = nil, false
		s.loop.Do(func() {
			if !stop {
				list, more = s.sweep(time.Now().After(end))
			}
			if !more {
				s.release()
			}
		})
		for _, one := range list {
			if err == nil {
				err = give(one.d, one.fd)
			}
			if err == nil {
				n++
			} else {
				endStream(one.fd, one.d.Minor)
				s.loop.Do(func() { s.account(one.p) })
			}
			unix.Close(one.fd)
		}
		if more && len(list) == 0 {
			time.Sleep(exportAgain)
		}
	}
	return n, cmp.Or(err, ctx.Err())
}

// sweep removes some subscribers from this server and returns them; rest is true if others remain. If late is true,
// sweep disconnects subscribers that have not read all their data.
func (s *Subscribers) sweep(late bool) (list []departed, rest bool) {
	s.Take()
	if !late && s.Sending() {
		// first send the events that wait in this server, so that the new server need not send them
		return nil, true
	}
	for p := range s.all {
		switch {
		case len(list) == exportAtOnce:
			return list, true
		case !p.conn.Movable():
		case p.state == idle:
			list = append(list, s.depart(p))
		case late:
			s.drop(p, "has not taken everything before it could be handed over")
		default:
			rest = true
		}
	}
	return list, rest || len(list) > 0
}

func (s *Subscribers) depart(p *StreamSubscriber) departed {
	c, d := p.conn, p.describe()
	s.remove(p, false)
	p.conn = nil
	c.Detach()
	return departed{p, c.Fd(), d}
}

func (s *Subscribers) release() {
	s.stay = false
	if s.retiring {
		s.Drain(false)
	}
}

func (p *StreamSubscriber) describe() *StreamState {
	d := &StreamState{Names: p.position.Names(), Seq: p.s.Reached(p), Minor: p.minor, StreamClient: *p.client(),
		Sent: p.sent, Framed: int64(p.framed)}
	if p.log != nil {
		d.Log = p.log.State()
	}
	return d
}

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

// Import serves a subscriber that Export has handed over, usually in another process. Import owns fd, even if it
// returns an error. After an error the connection is closed, and the client reconnects. Import must not be called on
// the loop, nor before the server has started.
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

func (s *Subscribers) resume(d *StreamState, fd int) error {
	switch {
	case s.loop.Full():
		return errFull
	case !s.Complete(d.Seq):
		return errors.New("events of its channels have been lost")
	}
	addr, _ := netip.ParseAddr(d.Address)
	p := &StreamSubscriber{s: s, peer: netip.AddrPortFrom(addr, d.Port), minor: d.Minor, number: d.Number,
		sent: d.Sent, framed: uint32(d.Framed)}
	p.know(d.User, d.LastEventID)
	from := conn.AddressOf("")
	if p.peer.IsValid() {
		from = net.TCPAddrFromAddrPort(p.peer)
	}
	if err := s.open(p, fd, nil, from); err != nil {
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
