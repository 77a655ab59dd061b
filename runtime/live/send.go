package live

import (
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
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
		p.queue = &queue{stamp: s.conns.Now}
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
		n, total, err := s.put(p, events[:min(len(events), conn.MaxPieces)], off)
		if err != nil && err != unix.EAGAIN {
			s.end(p, err.Error())
			return nil
		}
		if n > 0 {
			p.active = ticks(s.conns.Now)
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
			q.stamp = s.conns.Now
		}
		off, q.off = q.off, 0
	}
	for len(events) > 0 {
		e := events[0]
		size := len(e.Wire(p.minor))
		if n < size-off {
			if n += off; n > 0 {
				if q == nil {
					q = &queue{stamp: s.conns.Now}
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

// dropSlow drops subscribers that took nothing for too long.
func (s *Subscribers) dropSlow() {
	for p := range s.fanout.Lagging {
		if s.conns.Now-p.queue.stamp > int64(s.limits.WriteTimeout)+eventloop.Tick {
			s.drop(p, "read nothing for "+s.limits.WriteTimeout.String())
		}
	}
}

// drop ends a subscriber that does not take what it gets, so that the kernel forgets
// it, too.
func (s *Subscribers) drop(p *StreamSubscriber, why string) {
	if p.state == joining {
		s.abandon(p) // its connection ends when its turn comes: see leaving
		return
	}
	s.report(logfile.Info, p.String(), "a subscriber of "+p.position.Names()[0]+" "+why+" and has been dropped")
	s.endBroken(p, why)
}

// endBroken is end for p whose client should see that it has not got everything.
func (s *Subscribers) endBroken(p *StreamSubscriber, why string) {
	if o := p.stream(); o != nil {
		s.leaveStream(p)
		o.Close(true)
		return
	}
	conn.ResetOnClose(p.watch.Fd())
	s.end(p, why)
}

// leaveStream takes p, which has a stream, out of everything but that.
func (s *Subscribers) leaveStream(p *StreamSubscriber) {
	s.detach(p, true)
	s.account(p)
}

// abandon ends a subscriber whose connection has ended before begin.
func (s *Subscribers) abandon(p *StreamSubscriber) {
	if p.state == gone {
		return
	}
	p.state, p.queue = gone, nil
	s.leave(p, false)
}

// end takes p, whose connection is broken or has been dealt with, out of everything.
func (s *Subscribers) end(p *StreamSubscriber, why string) {
	if p.state == gone {
		return
	}
	s.conns.Tracef("%s unsubscribed: %s", p, why)
	if o := p.stream(); o != nil {
		s.leaveStream(p)
		o.Close(false)
		return
	}
	_ = unix.Close(s.detach(p, true))
	s.account(p)
	s.server.Count(-1)
}

// account writes the line of p, which has ended, to the access log.
func (s *Subscribers) account(p *StreamSubscriber) {
	if p.log != nil {
		s.server.Account(p.log, p.sent, int64(p.framed))
		p.log = nil
	}
}

// detach makes the loop know nothing of p, whose descriptor it returns, or -1 if it has a stream. tell: it has left.
func (s *Subscribers) detach(p *StreamSubscriber, tell bool) (fd int) {
	if p.queue != nil {
		s.fanout.CaughtUp(p)
		p.queue = nil
	}
	p.state = gone
	if fd = p.watch.Fd(); fd >= 0 {
		p.watch.Remove()
	}
	s.heartbeats.remove(p)
	s.live--
	s.leave(p, tell)
	return fd
}

// leave takes p out of its channels.
func (s *Subscribers) leave(p *StreamSubscriber, tell bool) {
	names := p.position.Names()
	s.fanout.Leave(p)
	s.joined--
	if key := addressKey(p.addr); p.addr.IsValid() {
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
	s.counted(names)
}

var finalChunk = NewBytes("0\r\n\r\n")

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
		s.end(p, "the server is shutting down")
	default:
		p.state = ending
	}
}

// Drain ends all subscribers, as their streams end, and those that come later. Published events are sent before.
func (s *Subscribers) Drain() {
	s.retiring, s.ending = true, true
	s.fanout.Finish(s.now())
	for p := range s.heartbeats.all {
		s.finish(p)
	}
}

// Retire is Drain, but with Config.HandOver subscribers that have a descriptor stay until Export has seen to them.
func (s *Subscribers) Retire() {
	s.retiring = true
	if !s.stay {
		s.Drain()
		return
	}
	for p := range s.heartbeats.all {
		if p.stream() != nil {
			s.finish(p)
		}
	}
}

// Close resets the connections of the subscribers that Drain has left.
func (s *Subscribers) Close() {
	for p := range s.heartbeats.all {
		s.endBroken(p, "the server has shut down")
	}
}

// leaving is the protocol of a connection that becomes a subscriber as soon as everything before the events was written: then
// the connection ends without its descriptor.
type leaving struct {
	p    *StreamSubscriber
	conn *conn.Conn
	left bool // the subscriber has the descriptor, and its place
}

// Input implements conn.Protocol: bytes from a subscriber do not count.
func (v *leaving) Input([]byte) { v.leave() }

// EOF implements conn.Protocol.
func (v *leaving) EOF() (stays bool) { return false }

// Room implements conn.Protocol.
func (v *leaving) Room(bool) { v.leave() }

// leave starts the subscriber if everything was written.
func (v *leaving) leave() {
	c, p, s := v.conn, v.p, v.p.s
	switch {
	case c.Writing() || c.Gathers():
		return
	case p.state == gone: // more events have come for it meanwhile than may wait
		c.Reset = true
		c.Close("it reads too slowly")
		return
	case c.Half:
		c.Close("the client has shut down its side")
		return
	}
	if c.Transport() != nil { // nobody else could write to its socket
		s.stream(v)
		return
	}
	c.Unwatch()
	if err := s.attach(p, c.Fd()); err != nil {
		s.server.Log(logfile.Error, p.String(), "cannot be watched as a subscriber: "+err.Error())
		c.Close("it cannot be watched as a subscriber")
		return
	}
	v.left, c.Holder = true, nil
	c.Detach()
	s.tellJoined(p)
	s.begin(p)
}

// lookAgain is how much later a connection without a deadline is looked at again, in nanoseconds.
const lookAgain = int64(time.Minute)

// Due implements conn.Protocol: a transfer has a deadline of its own.
func (v *leaving) Due() (next int64) { return v.p.s.conns.Now + lookAgain }

// Drain implements conn.Protocol: the subscriber ends with all others.
func (v *leaving) Drain(bool) {}

// Closed implements conn.Protocol.
func (v *leaving) Closed() {
	if !v.left {
		v.p.s.abandon(v.p)
		v.p.s.account(v.p)
	}
}
