package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/netio"
	"fapws/runtime/pubsub"

	"golang.org/x/sys/unix"
)

// A server that retires hands its subscribers to the one that comes after it: their
// descriptors, and with each the number of the last event that it was given. As events have the
// same numbers in both, the new one sends what it keeps of later ones, and is
// silent about those that the subscriber has: nothing is lost, and nothing comes twice, if
//
//   - the new server takes all events from some number K on (PublishNumbered), and
//     the old one those up to K-1, before it exports;
//   - the new one forgets none of them until it has imported (HoldHistory).
//
// Which of both is ahead of the other does not matter.

// SubscriberState is a subscriber that goes from one server to another, for JSON. It
// is at most 70 KiB there.
type SubscriberState struct {
	Names       []string
	Seq         uint64 // of the last event that it has been given
	Minor       uint8  // HTTP/1.minor
	Number      uint64
	Address     string `json:",omitempty"`
	Port        uint16 `json:",omitempty"`
	User        string `json:",omitempty"`
	LastEventID string `json:",omitempty"`
	Started     int64  // seconds since 1970
	Sent        int64  // bytes of the body
	Framed      int64  // bytes of the response besides

	Log *accesslog.State `json:",omitempty"` // of the line in the access log to come
}

const (
	// exportAtOnce subscribers are taken from the loop in one go.
	exportAtOnce = 64

	// exportPatience is how long those are waited for that have not taken
	// everything.
	exportPatience = time.Second
)

// ExportSubscribers gives all subscribers away, one after the other: give gets what
// there is to say of one, and its descriptor, which is closed when give returns. This server
// knows nothing of it any more then; it is not shut down. Who has not taken
// everything after a second is dropped, and who becomes a subscriber later is told to come
// back. Config.Channels.HandOver has to be set. The error is that of give, whose
// subscriber is ended, or ctx's: the others are still there. n were given away.
//
// Not on the loop; give runs on the caller's goroutine.
func (s *Server) ExportSubscribers(ctx context.Context, give func(d *SubscriberState, fd int) error) (n int, err error) {
	h := s.loop.channels
	for end := time.Now().Add(exportPatience); ; {
		var list []detachedSubscriber
		more, late := false, time.Now().After(end)
		s.do(func() { list, more = h.export(late) })
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
		s.do(func() {
			for _, e := range list {
				if e.ended && e.p.log != nil {
					s.loop.accountSubscriber(e.p)
				}
				s.loop.makeRoom(true)
			}
			if err != nil || !more {
				h.stay = false
				h.released()
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

// exportTick is how often subscribers that have not taken everything are looked at.
const exportTick = 5 * time.Millisecond

type detachedSubscriber struct {
	p     *subscriber
	d     *SubscriberState
	fd    int
	ended bool
}

// export takes some subscribers out. more: there are others. late: a subscriber that has not taken
// everything is dropped.
func (h *channels) export(late bool) (list []detachedSubscriber, more bool) {
	h.fanout.Take(h.now())
	if !late && h.fanout.Sending() {
		return nil, true // what they have got is less to ask for
	}
	for p := range h.heartbeats.all {
		switch {
		case len(list) == exportAtOnce:
			return list, true
		case p.state == subscriberIdle:
			d := h.describe(p)
			list = append(list, detachedSubscriber{p, d, h.detach(p, false), false})
		case late:
			h.drop(p, "has not taken everything before it could be handed over")
		default:
			more = true
		}
	}
	return list, more
}

// released is called when subscribers are not to stay any more.
func (h *channels) released() {
	if h.l.leaving {
		h.finishAll()
	}
}

func (h *channels) describe(p *subscriber) *SubscriberState {
	c := p.client()
	d := &SubscriberState{
		Names: p.position.Names(), Seq: p.position.Seq, Minor: p.minor, Number: p.number,
		Address: c.Address, Port: p.port, User: c.User, LastEventID: c.LastEventID,
		Started: int64(p.started), Sent: p.sent, Framed: int64(p.framed),
	}
	if p.log != nil {
		d.Log = p.log.State()
	}
	return d
}

// endStream ends what nobody listens to any more, as far as that can be done at
// once.
func endStream(fd int, minor uint8) {
	if minor > 0 {
		netio.Send(fd, finalChunk.Wire(minor), 0)
	}
	unix.Shutdown(fd, unix.SHUT_WR)
}

var errNoPlace = errors.New("there are as many connections as may be")

// ImportSubscriber serves a subscriber that ExportSubscribers has given away, perhaps in
// another process. It owns fd from now on, also if there is an error: then the client is told to
// come back. Not on the loop, and not before Serve.
func (s *Server) ImportSubscriber(d *SubscriberState, fd int) error {
	err := d.check()
	if err == nil {
		err = errStopped
		s.do(func() { err = s.loop.channels.admit(d, fd) })
	}
	if err != nil {
		endStream(fd, d.Minor)
		unix.Close(fd)
	}
	return err
}

func (d *SubscriberState) check() error {
	if len(d.Names) == 0 || len(d.Names) > pubsub.MaxNames {
		return fmt.Errorf("a subscriber of %d channels", len(d.Names))
	}
	for i, name := range d.Names {
		if err := pubsub.CheckName(name); err != nil {
			return err
		}
		if slices.Contains(d.Names[:i], name) {
			return fmt.Errorf("a subscriber twice of %s", name)
		}
	}
	return nil
}

// admit begins to serve what d and fd are.
func (h *channels) admit(d *SubscriberState, fd int) error {
	if h.l.accepting.clients >= h.l.cfg.MaxClients {
		return errNoPlace
	}
	addr, _ := netip.ParseAddr(d.Address)
	q := &subscriber{
		h: h, minor: d.Minor, addr: addr, port: d.Port, number: d.Number,
		position: pubsub.Position[*subscriber]{Seq: d.Seq}, started: uint32(d.Started), active: ticks(h.l.now()), sent: d.Sent, framed: uint32(d.Framed),
	}
	if d.User != "" || d.LastEventID != "" {
		q.extra = &extra{user: d.User, lastID: d.LastEventID}
	}
	if err := h.adopt(q, fd); err != nil {
		return err
	}
	if d.Log != nil && h.l.timed {
		q.log = h.l.recordOf(d.Log)
	}
	h.l.connectionOpened()
	h.l.accepting.clients++
	h.replay(q, d.Seq, h.fanout.Since(d.Names, d.Seq))
	h.join(q, d.Names)
	h.begin(q)
	return nil
}

// recordOf returns the record of a request from another process, for the log of its site.
func (l *loop) recordOf(s *accesslog.State) *accesslog.Record {
	log := l.cfg.AccessLog
	for i := range l.sites {
		if r := l.sites[i].rules; r != nil && r.name == s.Entry.Site && (r.log != nil || r.unlog) {
			log = r.log
		}
	}
	return s.Record(log)
}

// historyPiece is the size of a piece of ExportHistory, so that it fits into a
// message of 100 KiB as base64, too.
const historyPiece = 64 << 10

// ExportHistory gives, piece by piece, what is kept of past events, for
// ImportHistory. The error is that of give. Not on the loop.
func (s *Server) ExportHistory(give func(piece []byte) error) error {
	var events []*pubsub.Event
	s.do(func() {
		s.loop.channels.fanout.Take(s.loop.channels.now())
		events = s.loop.channels.fanout.Kept()
	})
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && size < historyPiece {
			size += len(events[n].Text())
			n++
		}
		for text := pubsub.Encode(events[:n]); len(text) > 0; {
			k := min(len(text), historyPiece)
			if err := give(text[:k]); err != nil {
				return err
			}
			text = text[k:]
		}
		events = events[n:]
	}
	return nil
}

// ImportHistory keeps past events for clients that come back. Pieces come in the
// order in which ExportHistory gave them. Not on the loop.
func (s *Server) ImportHistory(piece []byte) (err error) {
	h := s.loop.channels
	s.do(func() {
		var events []*pubsub.Event
		events, err = h.restored.Decode(piece)
		for _, e := range events {
			h.fanout.Restore(e, h.now())
		}
	})
	return err
}

// HoldHistory lets no event be forgotten for a while, but for what is beyond the bound
// of all channels together. A server that is to import subscribers needs it from when it is told
// of events until then. Not on the loop.
func (s *Server) HoldHistory(d time.Duration) {
	s.do(func() {
		h := s.loop.channels
		h.fanout.Hold(h.now() + int64(d))
		s.loop.groups.fanout.Hold(h.now() + int64(d))
	})
}

// SubscriberCounts returns how many listen to each channel. Not on the loop.
func (s *Server) SubscriberCounts() map[string]int {
	counts := map[string]int{}
	s.do(func() {
		s.loop.channels.fanout.Channels(func(c *pubsub.Channel[*subscriber]) { counts[c.Name] = len(c.Subscribers) })
	})
	return counts
}

// portOf reads a REMOTE_PORT; 0: it is not known.
func portOf(text string) uint16 {
	port, _ := strconv.ParseUint(text, 10, 16)
	return uint16(port)
}
