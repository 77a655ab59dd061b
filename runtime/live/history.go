package live

// ChannelLimits bound the past events that are kept.
type ChannelLimits struct {
	Events int   // of a channel, most
	Bytes  int   // of a channel, most
	Total  int   // bytes of all channels, most
	Age    int64 // nanoseconds, most
}

// overhead is the memory of an event in addition to its bytes, with a share of its ring.
const overhead = 400

// ring is the kept events of one channel, the oldest first.
type ring struct {
	name          string
	oldest, newst *Event
	events, bytes int
}

// history is the kept events of all channels.
type history struct {
	limits      ChannelLimits
	rings       map[string]*ring
	first, last *Event // of all, by Seq
	bytes       int
	hold        int64  // nothing is forgotten before, but for limits.Total
	lost        uint64 // the number of the last event that was forgotten
}

func (e *Event) cost() int { return len(e.wire) + len(e.ID) + overhead }

// keep puts e where its number belongs, unless it is there.
func (h *history) keep(e *Event, now int64) {
	if e.in != nil {
		return
	}
	if h.limits.Events == 0 && now >= h.hold {
		h.lost = max(h.lost, e.Seq)
		return
	}
	r := h.rings[e.Name]
	if r == nil {
		r = &ring{name: e.Name}
	}
	before := r.newst
	for before != nil && before.Seq > e.Seq {
		before = before.older
	}
	if before != nil && before.Seq == e.Seq {
		return
	}
	e.in, e.at = r, now
	e.older = before
	if before != nil {
		e.newer, before.newer = before.newer, e
	} else {
		e.newer, r.oldest = r.oldest, e
	}
	if e.newer != nil {
		e.newer.older = e
	} else {
		r.newst = e
	}
	prev := h.last
	for prev != nil && prev.Seq > e.Seq {
		prev = prev.prev
	}
	e.prev = prev
	if prev != nil {
		e.next, prev.next = prev.next, e
	} else {
		e.next, h.first = h.first, e
	}
	if e.next != nil {
		e.next.prev = e
	} else {
		h.last = e
	}
	h.rings[e.Name] = r
	r.events++
	r.bytes += e.cost()
	h.bytes += e.cost()
	h.trim(r, now)
}

// trim forgets the oldest events of r, and of all channels, until the limits hold.
func (h *history) trim(r *ring, now int64) {
	if now >= h.hold {
		for r.events > h.limits.Events || r.events > 0 && r.bytes > h.limits.Bytes+r.events*overhead {
			h.forget(r.oldest)
		}
	}
	for h.first != nil && h.bytes > h.limits.Total {
		h.forget(h.first)
	}
}

// beyond returns the newest event of r that the limits of a channel exclude; nil: none is.
func (h *history) beyond(r *ring, now int64) *Event {
	events, bytes := 0, 0
	for e := r.newst; e != nil; e = e.older {
		events++
		bytes += e.cost()
		if events > h.limits.Events || bytes > h.limits.Bytes+events*overhead || now-e.at > h.limits.Age {
			return e
		}
	}
	return nil
}

// forget takes e out.
func (h *history) forget(e *Event) {
	r := e.in
	h.lost = max(h.lost, e.Seq)
	*link(e.older, &r.oldest, func(o *Event) **Event { return &o.newer }) = e.newer
	*link(e.newer, &r.newst, func(o *Event) **Event { return &o.older }) = e.older
	*link(e.prev, &h.first, func(o *Event) **Event { return &o.next }) = e.next
	*link(e.next, &h.last, func(o *Event) **Event { return &o.prev }) = e.prev
	r.events--
	r.bytes -= e.cost()
	h.bytes -= e.cost()
	if r.events == 0 {
		delete(h.rings, r.name)
	}
	e.in, e.prev, e.next, e.older, e.newer = nil, nil, nil, nil, nil
}

// link returns the pointer that leads to an event from its neighbour, or from the
// end of the list if it has none.
func link(neighbour *Event, end **Event, of func(*Event) **Event) **Event {
	if neighbour == nil {
		return end
	}
	return of(neighbour)
}

// expire forgets events that are too old, and those above the limits that were held.
func (h *history) expire(now int64) {
	if now < h.hold {
		return
	}
	for h.first != nil && now-h.first.at > h.limits.Age {
		h.forget(h.first)
	}
	if h.hold != 0 {
		h.hold = 0
		for _, r := range h.rings {
			h.trim(r, now)
		}
	}
}
