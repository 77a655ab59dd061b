package runtime

import (
	"syscall"
	"unsafe"

	"fapws/runtime/pubsub"

	"golang.org/x/sys/unix"
)

// send gives p events of a batch, or of the server's own.
func (h *channels) send(p *subscriber, events []*pubsub.Event) {
	if p.state == subscriberEnding || p.state == subscriberGone {
		return
	}
	if p.state == subscriberIdle {
		events = h.write(p, events)
		if p.state == subscriberGone || len(events) == 0 {
			return
		}
	}
	if p.queue == nil {
		p.queue = &queue{stamp: h.l.now()}
	}
	q := p.queue
	first := len(q.events) == 0
	for _, e := range events {
		size := len(e.Wire(p.minor))
		// One alone may be larger.
		if q.bytes > 0 && q.bytes+size > h.cfg.Buffer {
			h.drop(p, "reads too slowly")
			return
		}
		q.events = append(q.events, e)
		q.bytes += size
	}
	if first && p.state != subscriberJoining {
		h.lag(p)
	}
}

// iovMost is how many events are written at once.
const iovMost = 64

// write sends p as much of events as its socket takes, and returns the rest. p's
// queue is empty but for the offset of the first event.
func (h *channels) write(p *subscriber, events []*pubsub.Event) []*pubsub.Event {
	var iov [iovMost]unix.Iovec
	for len(events) > 0 {
		off := 0
		if p.queue != nil {
			off = p.queue.off
		}
		k, total := 0, 0
		for i := 0; i < len(events) && k < iovMost; i++ {
			b := events[i].Wire(p.minor)[off:]
			off = 0
			if len(b) == 0 {
				continue
			}
			iov[k].Base = unsafe.SliceData(b)
			iov[k].SetLen(len(b))
			total += len(b)
			k++
		}
		n, err := 0, error(nil)
		if k > 0 {
			n, err = sendVector(p.watch.Fd(), iov[:k])
		}
		if err != nil && err != unix.EAGAIN {
			h.end(p, err.Error())
			return nil
		}
		if n > 0 {
			p.active = ticks(h.l.now())
		}
		full := n < total
		events = h.taken(p, events, n)
		if full {
			break
		}
	}
	return events
}

// taken notes that p has taken n bytes of events, and returns the rest.
func (h *channels) taken(p *subscriber, events []*pubsub.Event, n int) []*pubsub.Event {
	q := p.queue
	off := 0
	if q != nil {
		if n > 0 {
			q.stamp = h.l.now()
		}
		off, q.off = q.off, 0
	}
	for len(events) > 0 {
		e := events[0]
		size := len(e.Wire(p.minor))
		if n < size-off {
			if n += off; n > 0 {
				if q == nil {
					q = &queue{stamp: h.l.now()}
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

func sendVector(fd int, iov []unix.Iovec) (int, error) {
	msg := unix.Msghdr{Iov: unsafe.SliceData(iov)}
	msg.SetIovlen(len(iov))
	for {
		n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// lag notes that p has not taken everything: the loop hears when there is room.
func (h *channels) lag(p *subscriber) {
	if p.state == subscriberIdle {
		p.state = subscriberBehind
	}
	h.fanout.Lag(p)
	_ = p.watch.WantRoom(true) // it cannot fail: the descriptor is watched
}

// room is called when the socket of p takes more.
func (h *channels) room(p *subscriber) {
	q := p.queue
	if q == nil || len(q.events) == 0 {
		return
	}
	before := len(q.events)
	rest := h.write(p, q.events)
	if p.state == subscriberGone {
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
			rest = append([]*pubsub.Event(nil), rest...)
		} else {
			clear(q.events[:before-len(rest)])
		}
		q.events = rest
		return
	}
	h.fanout.CaughtUp(p)
	p.queue = nil
	if p.state == subscriberEnding {
		h.end(p, "the stream has ended")
		return
	}
	p.state = subscriberIdle
	_ = p.watch.WantRoom(false)
}
