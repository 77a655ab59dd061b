package live

import (
	"fapws/runtime/system"

	"golang.org/x/sys/unix"
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
		p.queue = &queue{stamp: s.host.Now()}
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
	for len(events) > 0 {
		off := 0
		if p.queue != nil {
			off = p.queue.off
		}
		n, total, err := s.put(p, events[:min(len(events), system.MaxPieces)], off)
		if err != nil && err != unix.EAGAIN {
			s.end(p, err.Error())
			return nil
		}
		if n > 0 {
			p.active = ticks(s.host.Now())
		}
		full := n < total
		events = s.taken(p, events, n)
		if full {
			break
		}
	}
	return events
}

// put writes events, the first one from off on, with one system call. It returns how many of their bytes were taken.
func (s *Subscribers) put(p *StreamSubscriber, events []*Event, off int) (n, total int, err error) {
	o := p.stream()
	for _, e := range events {
		b := e.Wire(p.minor)[off:]
		off = 0
		total += len(b)
		if o != nil {
			s.parts = append(s.parts, b)
		} else {
			s.pieces.Add(b)
		}
	}
	if o == nil {
		n, err = s.pieces.Send(p.watch.Fd())
		return n, total, err
	}
	n, err = o.Send(s.parts)
	clear(s.parts)
	s.parts = s.parts[:0]
	return n, total, err
}

// taken notes that p has taken n bytes of events, and returns the rest.
func (s *Subscribers) taken(p *StreamSubscriber, events []*Event, n int) []*Event {
	q := p.queue
	off := 0
	if q != nil {
		if n > 0 {
			q.stamp = s.host.Now()
		}
		off, q.off = q.off, 0
	}
	for len(events) > 0 {
		e := events[0]
		size := len(e.Wire(p.minor))
		if n < size-off {
			if n += off; n > 0 {
				if q == nil {
					q = &queue{stamp: s.host.Now()}
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

// lag notes that p has not taken everything: the loop hears when there is room.
func (s *Subscribers) lag(p *StreamSubscriber) {
	if p.state == idle {
		p.state = behind
	}
	s.fanout.Lag(p)
	if o := p.stream(); o != nil {
		o.AwaitRoom()
		return
	}
	_ = p.watch.WantRoom(true) // it cannot fail: the descriptor is watched
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
		if o := p.stream(); o != nil {
			o.AwaitRoom()
		}
		if cap(rest) > 4*len(rest)+16 {
			rest = append([]*Event(nil), rest...)
		} else {
			clear(q.events[:before-len(rest)])
		}
		q.events = rest
		return
	}
	s.fanout.CaughtUp(p)
	p.queue = nil
	if p.state == ending {
		s.end(p, "the stream has ended")
		return
	}
	p.state = idle
	_ = p.watch.WantRoom(false)
}
