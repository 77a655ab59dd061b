package pybridge

// #include "shim.h"
import "C"

import (
	"sync/atomic"
	"time"
)

// mostHeld is the maximum wait of responses without progress: the supervisor is then slow or dead, and clients matter more than
// order.
const mostHeld = 2 * time.Second

// order keeps events of several processes in the order in which a client causes them: output of an exchange that has published
// an event is held back until the server has numbered the event. So an event that the client publishes afterwards through
// another process gets a higher number. Events are identified by the sum of the costs of all events up to them.
//
// Other exchanges are not held back, and without events a batch of parts costs one comparison. Only the event loop uses it,
// except for numbered and waits.
type order struct {
	on       atomic.Bool  // events are numbered
	numbered atomic.Int64 // sum of the costs of the events with numbers
	waits    atomic.Bool  // parts are held back
	held     parts        // in the order in which they were finished
	since    time.Time    // when held was last empty, or released parts
	alarm    atomic.Bool  // a timer will wake the loop
}

// Order makes responses wait for the numbers of events that their handlers publish. It is safe for concurrent use.
func (h *Handler) Order() { h.order.on.Store(true) }

// Numbered notes that the server has numbered the first events since the start, with that sum of costs. It is safe for
// concurrent use.
func (h *Handler) Numbered(cost int64) {
	h.order.raise(cost)
	if h.order.waits.Load() {
		C.core_wake_loop()
	}
}

func (o *order) raise(cost int64) {
	for was := o.numbered.Load(); was < cost && !o.numbered.CompareAndSwap(was, cost); {
		was = o.numbered.Load()
	}
}

// pass returns the parts that may be sent, of list and of those that were held back.
func (o *order) pass(shared *C.core_shared, list *C.core_part) *C.core_part {
	if o.held.first == nil && (list == nil || !o.on.Load() || o.numbered.Load() >= atomic.LoadInt64((*int64)(&shared.events))) {
		return list
	}
	if o.held.first == nil {
		o.since = time.Now()
	}
	if o.held.first != nil && time.Since(o.since) > mostHeld {
		o.raise(int64(o.held.last.behind))
	}
	o.waits.Store(true) // before numbered is read: see Numbered
	numbered := o.numbered.Load()
	var out parts
	was := o.held.first
	o.held = parts{}
	o.sort(was, numbered, &out)
	if out.first != nil {
		o.since = time.Now()
	}
	o.sort(list, numbered, &out)
	if o.held.first == nil {
		o.waits.Store(false)
	} else if !o.alarm.Swap(true) {
		time.AfterFunc(mostHeld+mostHeld/10, func() {
			o.alarm.Store(false)
			C.core_wake_loop()
		})
	}
	return out.first
}

// sort appends each part of list to out, or to the parts that are held back. Parts of an exchange stay in order.
func (o *order) sort(list *C.core_part, numbered int64, out *parts) {
	for list != nil {
		p := list
		list = p.next
		p.next = nil
		p.behind = max(p.behind, p.rec.behind)
		if int64(p.behind) <= numbered {
			out.append(p)
			continue
		}
		p.rec.behind = p.behind
		o.held.append(p)
	}
}

// parts is a list of parts.
type parts struct{ first, last *C.core_part }

func (l *parts) append(p *C.core_part) {
	if l.first == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
}
