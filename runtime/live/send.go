package live

import (
	"net"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

func (s *Subscribers) send(p *StreamSubscriber, events []*Event) {
	if p.state == ending || p.state == gone {
		return
	}
	if p.queue == nil {
		p.queue = new(queue)
	}
	p.queue.events = append(p.queue.events, events...)
	for _, e := range events {
		p.queue.bytes += len(e.Wire(p.minor))
	}
	if p.state == idle {
		s.flush(p)
	}
	// A single event is allowed even if it is larger than StreamConfig.Buffer.
	if q := p.queue; q != nil && q.bytes > s.cfg.Buffer && len(q.events)-q.free > 1 {
		s.drop(p, "reads too slowly")
	}
}

func (s *Subscribers) flush(p *StreamSubscriber) {
	q := p.queue
	for len(q.events) > 0 && p.state != gone && !p.conn.Writing() {
		off := q.off
		for _, e := range q.events[:min(len(q.events), conn.MaxPieces)] {
			s.pieces = append(s.pieces, e.Wire(p.minor)[off:])
			off = 0
		}
		n, err := p.conn.WriteSome(s.pieces)
		clear(s.pieces)
		s.pieces = s.pieces[:0]
		if n > 0 {
			p.conn.Stamp = s.conns.Now
		}
		p.taken(n)
		switch {
		case err == unix.EAGAIN:
			p.conn.Queue(conn.Output{}, true) // makes the connection call Drained when the socket is writable
		case err != nil:
			p.conn.Close(err.Error())
		}
	}
	switch {
	case p.state == gone:
	case len(q.events) > 0:
		if p.state == idle {
			p.state = behind
		}
		s.Lag(p)
	default:
		s.CaughtUp(p)
		p.queue = nil
		if p.state == ending {
			s.end(p)
		} else {
			p.state = idle
		}
	}
}

func (p *StreamSubscriber) taken(n int) {
	q := p.queue
	q.off += n
	for len(q.events) > 0 && q.off >= len(q.events[0].Wire(p.minor)) {
		e := q.events[0]
		size, text := len(e.Wire(p.minor)), len(e.Text())
		q.events[0] = nil
		q.events, q.off = q.events[1:], q.off-size
		if q.free > 0 {
			q.free--
		} else {
			q.bytes -= size
		}
		p.sent += int64(text)
		p.framed += uint32(size - text)
	}
}

// drop disconnects p. It discards the unsent data in the queue of p and in the kernel.
func (s *Subscribers) drop(p *StreamSubscriber, reason string) {
	if p.state == joining {
		s.abandon(p)
		return
	}
	if s.mayReport() {
		s.sites.Config.LogClient(logfile.Info, p.String(), "a subscriber of "+p.position.Names()[0]+" "+reason+
			" and has been dropped")
	}
	s.reset(p, reason)
}

func (s *Subscribers) reset(p *StreamSubscriber, reason string) {
	p.conn.Reset = true
	p.conn.Close(reason)
	p.conn.Abort()
}

func (s *Subscribers) abandon(p *StreamSubscriber) {
	if p.state != gone {
		s.remove(p, false)
	}
}

// end is called after all data of p was written to the connection.
func (s *Subscribers) end(p *StreamSubscriber) {
	s.remove(p, true)
	s.account(p)
	if !p.conn.Writing() { // otherwise, Drained calls Finish when the output is written
		p.conn.Finish()
	}
}

func (s *Subscribers) account(p *StreamSubscriber) {
	if p.log != nil {
		s.sites.LogSubscriber(p.log, p.sent, int64(p.framed))
		p.log = nil
	}
}

func (s *Subscribers) remove(p *StreamSubscriber, tell bool) {
	if p.queue != nil {
		s.CaughtUp(p)
		p.queue = nil
	}
	p.state = gone
	names := p.position.Names()
	s.Leave(p)
	if tell {
		p.tell(s.cfg.Left, names)
	}
	s.joined--
	if key := p.network(); p.peer.IsValid() {
		if s.addresses[key]--; s.addresses[key] <= 0 {
			delete(s.addresses, key)
		}
	}
}

// tell calls report, unless it is nil, for each channel in names.
func (p *StreamSubscriber) tell(report func(name string, client *StreamClient), names []string) {
	if report == nil {
		return
	}
	client := p.client()
	for _, name := range names {
		report(name, client)
	}
}

var finalChunk = &Event{wire: []byte("0\r\n\r\n")}

// finish ends the stream of p, so that the client reconnects after a while.
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

// all yields the subscribers whose stream has begun, and the caller may disconnect them.
func (s *Subscribers) all(yield func(*StreamSubscriber) bool) {
	for _, c := range s.conns.All() {
		if p, ok := c.Protocol().(*StreamSubscriber); ok && p.state != joining && p.state != gone && !yield(p) {
			return
		}
	}
}

// Drain sends all published events and then ends the streams of all subscribers, including streams that begin after
// this call. If both retire and StreamConfig.HandOver are true, movable subscribers stay connected until Export.
func (s *Subscribers) Drain(retire bool) {
	s.retiring, s.stay = true, retire && s.stay
	if !s.stay {
		s.Finish(finishWithin)
	}
	for p := range s.all {
		if !s.stay || !p.conn.Movable() {
			s.finish(p)
		}
	}
}

// serve begins to send events to p, unless a part of the handler's response is still unsent.
func (s *Subscribers) serve(p *StreamSubscriber) {
	switch c := p.conn; {
	case c.Writing() || c.Gathers():
	case p.state == gone:
		s.reset(p, "it reads too slowly")
	case c.Half:
		c.Close("the client has shut down its side")
	default:
		if p.conn.Movable() && !s.takeSocket(p, c) {
			return
		}
		p.tell(s.cfg.Joined, p.position.Names())
		s.begin(p)
	}
}

// takeSocket moves the socket from the HTTP connection c to a new Conn. The new Conn needs less memory while p stays
// connected.
func (s *Subscribers) takeSocket(p *StreamSubscriber, c *conn.Conn) bool {
	p.conn, c.Holder = nil, nil
	c.Detach()
	if err := s.open(p, c.Fd(), c.Local, c.Remote); err != nil {
		s.conns.Log(logfile.Error, "cannot watch a subscriber: %v", err)
		s.abandon(p)
		s.account(p)
		s.loop.Count(-1)
		return false
	}
	return true
}

func (s *Subscribers) open(p *StreamSubscriber, fd int, local, remote net.Addr) error {
	p.conn = &conn.Conn{Holder: p}
	p.conn.Init(fd, local, remote)
	return p.conn.Open(s.conns, p)
}
