package pybridge

// #include <stdlib.h>
// #include "part.h"
// #include "shim_messages.h"
import "C"

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// Event is an argument of fapws.publish, or, with a Place, of fapws.broadcast.
type Event struct {
	Place  string // of a WebSocket, as all processes call it; "": it is for a channel
	Binary bool   // what it gets is no text

	Name string // of the channel; or the group, "" for all
	ID   string // "": the server gives it one
	Type string // "": none
	Data string
}

// eventCost is the cost of an event in addition to its bytes (FAPWS_EVENT_COST).
const eventCost = 64

// Cost is what an event counts for Handler.Dealt.
func (e *Event) Cost() int64 {
	n := int64(len(e.Name)+len(e.ID)+len(e.Type)+len(e.Data)) + eventCost
	if e.Place != "" {
		n += int64(len(e.Place)) + 1 // of op
	}
	return n
}

// Dealt says that events of cost bytes in all, which RunConfig.Publish was given,
// are the server's own now: as many more may be published. Any goroutine.
func (h *Handler) Dealt(cost int64) { atomic.AddInt64((*int64)(&h.shared.event_bytes), -cost) }

// listen takes what the application has said to the server. On the loop.
func (h *Handler) listen() {
	if atomic.LoadUint32((*uint32)(&h.shared.messages)) == 0 {
		return
	}
	atomic.StoreUint32((*uint32)(&h.shared.purges), 0) // before they are taken: see purge.c
	var n C.size_t
	all := C.fapws_messages(&n)
	defer C.free(unsafe.Pointer(all))
	var events []Event
	var cost int64
	each(all, n, func(kind byte, texts []byte) {
		switch kind {
		case C.FAPWS_PURGE:
			if h.config.Purge != nil {
				h.config.Purge(string(cutText(&texts)))
			}
		case C.FAPWS_EVENT:
			e := readEvent(texts)
			events = append(events, e)
			cost += e.Cost()
		case C.FAPWS_BROADCAST:
			e := Event{Place: string(cutText(&texts)), Name: string(cutText(&texts))}
			e.Binary = cutText(&texts)[0] == C.FAPWS_OP_BINARY
			e.Data = string(cutText(&texts))
			events = append(events, e)
			cost += e.Cost()
		case C.FAPWS_JOIN, C.FAPWS_LEAVE:
			socket := binary.NativeEndian.Uint64(cutText(&texts))
			h.changeGroup(socket, string(cutText(&texts)), kind == C.FAPWS_JOIN)
		case C.FAPWS_WARNING:
			h.config.Warn(string(cutText(&texts)))
		case C.FAPWS_ERROR_LINES:
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
	eachMessage(unsafe.Slice((*byte)(unsafe.Pointer(all)), int(n)), f)
}

// eachMessage is each for messages in Go's memory.
func eachMessage(rest []byte, f func(kind byte, texts []byte)) {
	for len(rest) > 0 {
		kind, texts := rest[0], rest[5:]
		size := nativeInt(rest[1:])
		texts, rest = texts[:size], texts[size:]
		f(kind, texts)
	}
}

// readEvent reads the texts of a FAPWS_EVENT.
func readEvent(texts []byte) Event {
	return Event{Name: string(cutText(&texts)), ID: string(cutText(&texts)), Type: string(cutText(&texts)), Data: string(cutText(&texts))}
}

// nativeInt is the number that b begins with, as this machine writes it.
func nativeInt(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// cutText takes the first text off.
func cutText(texts *[]byte) []byte {
	n := nativeInt(*texts)
	text := (*texts)[4 : 4+n]
	*texts = (*texts)[4+n:]
	return text
}

// CountSubscribers sets how many listen to a channel in this process, or elsewhere:
// fapws.subscribers says the sum. Any goroutine.
func CountSubscribers(name string, elsewhere bool, n int64) {
	C.fapws_count_subscribers((*C.char)(unsafe.Pointer(unsafe.StringData(name))), C.size_t(len(name)), C.int(boolByte(elsewhere)), C.int64_t(n))
}
