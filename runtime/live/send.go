package live

import (
	"net"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

// send gives p events of a batch, or of the server's own.
func (s *Subscribers) send(p *StreamSubscriber, events []*Event) {
	if p.state == ending || p.state == gone {
		return
	}
	if p.state == idle {
		events = s.write(p, events)
		if p.state == gone || len(events) == 0 {
			return
		}
	}
	if p.queue == nil {
		p.queue = new(queue)
	}
	q := p.queue
	first := len(q.events) == 0
	for _, e := range events {
		size := len(e.Wire(p.minor))
		// One alone may be larger.
		if q.bytes > 0 && q.bytes+size > s.cfg.Buffer {
			s.drop(p, "reads too slowly")
			return
		}
		q.events = append(q.events, e)
		q.bytes += size
	}
	if first && p.state != joining {
		s.lag(p)
	}
}

// write sends p as much of events as its socket takes, and returns the rest. p's
// queue is empty but for the offset of the first event.
func (s *Subscribers) write(p *StreamSubscriber, events []*Event) []*Event {
	for len(events) > 0 && !p.conn.Writing() {
		off := 0
		if p.queue != nil {
			off = p.queue.off
		}
		some := events[:min(len(events), conn.MaxPieces)]
		for _, e := range some {
			s.pieces = append(s.pieces, e.Wire(p.minor)[off:])
			off = 0
		}
		n, err := p.conn.WriteSome(s.pieces)
		clear(s.pieces)
		s.pieces = s.pieces[:0]
		switch {
		case err == unix.EAGAIN:
			p.conn.Queue(conn.Output{}, true) // Room is called when there is some
		case err != nil:
			p.conn.Close(err.Error())
			return nil
		}
		if n > 0 {
			p.conn.Stamp = s.conns.Now
		}
		events = s.taken(p, events, n)
	}
	return events
}

// taken notes that p has taken n bytes of events, and returns the rest.
func (s *Subscribers) taken(p *StreamSubscriber, events []*Event, n int) []*Event {
	q := p.queue
	off := 0
	if q != nil {
		off, q.off = q.off, 0
	}
	for len(events) > 0 {
		e := events[0]
		size := len(e.Wire(p.minor))
		if n < size-off {
			if n += off; n > 0 {
				if q == nil {
					q = new(queue)
					p.queue = q
				}
				q.off = n
			}
			return events
		}
		n -= size - off
		off = 0
		text := len(e.Text())
		p.sent += int64(text)
		p.framed += uint32(size - text)
		events = events[1:]
	}
	return nil
}

// lag notes that p has not taken everything.
func (s *Subscribers) lag(p *StreamSubscriber) {
	if p.state == idle {
		p.state = behind
	}
	s.Lag(p)
}

// room is called when the socket of p takes more.
func (s *Subscribers) room(p *StreamSubscriber) {
	q := p.queue
	if q == nil || len(q.events) == 0 {
		return
	}
	before := len(q.events)
	rest := s.write(p, q.events)
	if p.state == gone {
		return
	}
	for _, e := range q.events[:before-len(rest)] {
		if q.free > 0 {
			q.free--
		} else {
			q.bytes -= len(e.Wire(p.minor))
		}
	}
	if len(rest) > 0 {
		if cap(rest) > 4*len(rest)+16 {
			rest = append([]*Event(nil), rest...)
		} else {
			clear(q.events[:before-len(rest)])
		}
		q.events = rest
		return
	}
	s.CaughtUp(p)
	p.queue = nil
	if p.state == ending {
		s.end(p)
		return
	}
	p.state = idle
}

// drop ends a subscriber that does not take what it gets, so that the kernel forgets
// it, too.
func (s *Subscribers) drop(p *StreamSubscriber, why string) {
	if p.state == joining {
		s.abandon(p) // its connection ends when its turn comes: see serve
		return
	}
	s.report(logfile.Info, p.String(), "a subscriber of "+p.position.Names()[0]+" "+why+" and has been dropped")
	s.reset(p, why)
}

// reset ends p so that its client sees that it has not got everything.
func (s *Subscribers) reset(p *StreamSubscriber, why string) {
	p.conn.Reset = true
	p.conn.Close(why)
	p.conn.Abort()
}

// abandon ends a subscriber whose connection has ended before begin.
func (s *Subscribers) abandon(p *StreamSubscriber) {
	if p.state != gone {
		s.remove(p, false)
	}
}

// end ends p, which has taken everything.
func (s *Subscribers) end(p *StreamSubscriber) {
	s.remove(p, true)
	s.account(p)
	if !p.conn.Writing() { // else see Room
		p.conn.Finish()
	}
}

// account writes the line of p, which has ended, to the access log.
func (s *Subscribers) account(p *StreamSubscriber) {
	if p.log != nil {
		s.server.Account(p.log, p.sent, int64(p.framed))
		p.log = nil
	}
}

// remove takes p out of everything but its connection. tell: it has left.
func (s *Subscribers) remove(p *StreamSubscriber, tell bool) {
	if p.queue != nil {
		s.CaughtUp(p)
		p.queue = nil
	}
	p.state = gone
	s.leave(p, tell)
}

// leave takes p out of its channels.
func (s *Subscribers) leave(p *StreamSubscriber, tell bool) {
	names := p.position.Names()
	s.Leave(p)
	s.joined--
	if key := p.network(); p.addr.IsValid() {
		if s.addresses[key]--; s.addresses[key] <= 0 {
			delete(s.addresses, key)
		}
	}
	if tell && s.cfg.Left != nil {
		client := p.client()
		for _, name := range names {
			s.cfg.Left(name, client)
		}
	}
}

// finalChunk ends a stream of HTTP/1.1; others are not sent anything.
var finalChunk = &Event{wire: []byte("0\r\n\r\n")}

// finish ends p as a stream ends, so that its client comes back after a while.
func (s *Subscribers) finish(p *StreamSubscriber) {
	if p.state == ending {
		return
	}
	idling := p.state == idle
	if p.minor > 0 {
		s.send(p, []*Event{finalChunk})
	}
	switch {
	case p.state == gone:
	case idling && p.queue == nil:
		s.end(p)
	default:
		p.state = ending
	}
}

// all yields the subscribers that get events, which may end meanwhile.
func (s *Subscribers) all(yield func(*StreamSubscriber) bool) {
	for _, c := range s.conns.All() {
		if p, ok := c.Protocol().(*StreamSubscriber); ok && p.state != joining && p.state != gone && !yield(p) {
			return
		}
	}
}

// Drain ends all subscribers, as their streams end, and those that come later. Published events are sent before.
func (s *Subscribers) Drain() {
	s.retiring, s.ending = true, true
	s.Finish()
	for p := range s.all {
		s.finish(p)
	}
}

// Retire is Drain, but with Config.HandOver subscribers that can be handed over stay until Export has seen to them.
func (s *Subscribers) Retire() {
	s.retiring = true
	if !s.stay {
		s.Drain()
		return
	}
	for p := range s.all {
		if !p.movable() {
			s.finish(p)
		}
	}
}

// movable reports whether another process may get p: not if the keys of its TLS connection are in this one.
func (p *StreamSubscriber) movable() bool { return p.conn.Transport() == nil }

// serve has p get its events, unless something of the handler's response is still to be written.
func (s *Subscribers) serve(p *StreamSubscriber) {
	switch c := p.conn; {
	case c.Writing() || c.Gathers():
	case p.state == gone: // more events have come for it meanwhile than may wait
		s.reset(p, "it reads too slowly")
	case c.Half:
		c.Close("the client has shut down its side")
	default:
		if p.movable() && !s.takeSocket(p, c) {
			return
		}
		s.tellJoined(p)
		s.begin(p)
	}
}

// takeSocket gives p, which may stay for long, a connection of its own of the socket of c, which is smaller than that of a client of HTTP.
func (s *Subscribers) takeSocket(p *StreamSubscriber, c *conn.Conn) bool {
	p.conn, c.Holder = nil, nil
	c.Unwatch()
	c.Detach()
	if err := s.open(p, c.Fd(), c.Local, c.Remote); err != nil {
		s.server.Log(logfile.Error, "", "cannot watch a subscriber: "+err.Error())
		s.abandon(p)
		s.account(p)
		s.server.Count(-1)
		return false
	}
	return true
}

// open gives p a connection of a socket, which it owns.
func (s *Subscribers) open(p *StreamSubscriber, fd int, local, remote net.Addr) error {
	p.conn = &conn.Conn{Holder: p}
	p.conn.Init(fd, local, remote)
	return p.conn.Open(s.conns, p)
}
