package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"sync/atomic"
	"time"
	"unsafe"
)

// Event is an argument of fapws.publish, or, with a Place, of fapws.broadcast.
type Event struct {
	Place  string // of a WebSocket; "": the event is for a channel
	Binary bool   // the message is binary, not text

	Name string // of the channel; or the group, "" for all
	ID   string // "": the server assigns one
	Type string // "": none
	Data string
}

// eventCost is the cost of an event in addition to its bytes (CORE_EVENT_COST).
const eventCost = 64

// Cost is the cost of an event for Handler.Dealt.
func (e *Event) Cost() int64 {
	n := int64(len(e.Name)+len(e.ID)+len(e.Type)+len(e.Data)) + eventCost
	if e.Place != "" {
		n += int64(len(e.Place)) + 1 // of op
	}
	return n
}

// Dealt notes that the server has handled events of RunConfig.Publish with that cost in total: as many more may be published. It
// is safe for concurrent use.
func (h *Handler) Dealt(cost int64) { atomic.AddInt64((*int64)(&h.shared.event_bytes), -cost) }

// Published counts an event of the server's own, which is published like those of the application: Dealt and Numbered are
// called for it, too. It is safe for concurrent use.
func (h *Handler) Published(cost int64) {
	atomic.AddInt64((*int64)(&h.shared.event_bytes), cost)
	atomic.AddInt64((*int64)(&h.shared.events), cost)
}

// listen handles messages of the application. It must be called on the event loop.
func (h *Handler) listen() {
	if atomic.LoadUint32((*uint32)(&h.shared.messages)) == 0 {
		return
	}
	atomic.StoreUint32((*uint32)(&h.shared.purges), 0) // before they are taken: see live_channels.c
	var n C.size_t
	all := C.core_messages(&n)
	defer C.free(unsafe.Pointer(all))
	var events []Event
	var cost int64
	each(all, n, func(kind byte, texts []byte) {
		switch kind {
		case C.CORE_PURGE:
			if h.config.Purge != nil {
				h.config.Purge(string(cutText(&texts)))
			}
		case C.CORE_EVENT:
			e := readEvent(texts)
			events = append(events, e)
			cost += e.Cost()
		case C.CORE_BROADCAST:
			e := Event{Place: string(cutText(&texts)), Name: string(cutText(&texts))}
			e.Binary = cutText(&texts)[0] == C.CORE_OP_BINARY
			e.Data = string(cutText(&texts))
			events = append(events, e)
			cost += e.Cost()
		case C.CORE_JOIN, C.CORE_LEAVE:
			socket := binary.NativeEndian.Uint64(cutText(&texts))
			h.changeGroup(socket, string(cutText(&texts)), kind == C.CORE_JOIN)
		case C.CORE_WARNING:
			h.config.Warn(string(cutText(&texts)))
		case C.CORE_ERROR_LINES:
			writeErrorLines(texts)
		}
	})
	switch {
	case len(events) == 0:
	case h.config.Publish == nil:
		h.Dealt(cost)
	default:
		h.config.Publish(events)
	}
}

// each calls f with the kind and the texts of each message of all, n bytes.
func each(all *C.char, n C.size_t, f func(kind byte, texts []byte)) {
	for rest := unsafe.Slice((*byte)(unsafe.Pointer(all)), int(n)); len(rest) > 0; {
		kind, size := rest[0], nativeInt(rest[1:])
		rest = rest[5:]
		f(kind, rest[:size])
		rest = rest[size:]
	}
}

// readEvent reads the texts of a CORE_EVENT.
func readEvent(texts []byte) Event {
	return Event{Name: string(cutText(&texts)), ID: string(cutText(&texts)), Type: string(cutText(&texts)), Data: string(cutText(&texts))}
}

// nativeInt reads a number in native byte order.
func nativeInt(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// cutText removes and returns the first text; nil if it is not whole.
func cutText(texts *[]byte) []byte {
	rest := *texts
	*texts = nil
	if len(rest) < 4 || uint64(nativeInt(rest)) > uint64(len(rest)-4) {
		return nil
	}
	n := nativeInt(rest)
	*texts = rest[4+n:]
	return rest[4 : 4+n]
}

// CountSubscribers sets the number of subscribers of a channel in this process, or elsewhere: fapws.subscribers returns the sum.
// It is safe for concurrent use.
func CountSubscribers(name string, elsewhere bool, n int64) {
	C.live_count_subscribers((*C.char)(unsafe.Pointer(unsafe.StringData(name))), C.size_t(len(name)), C.int(boolByte(elsewhere)), C.int64_t(n))
}

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
