package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"sync/atomic"
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
