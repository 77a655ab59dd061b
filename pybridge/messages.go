package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	python3 "github.com/go-python/cpy3"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Event is an event of fapws.publish or, if Place is not "", of fapws.broadcast.
type Event struct {
	Place  string // identifies the WebSockets that get the event (placeMounts); "" if the event is for a channel
	Binary bool

	// name of the channel or of the group; "" for all WebSockets that Place identifies
	Name string
	ID   string // ID of the event; if the ID is "", the server assigns an ID
	Type string
	Data string
}

// eventCost has the value of CORE_EVENT_COST: the bytes counted for each event, in addition to its texts.
const eventCost = 64

func (e *Event) Cost() int64 {
	n := int64(len(e.Name)+len(e.ID)+len(e.Type)+len(e.Data)) + eventCost
	if e.Place != "" {
		n += int64(len(e.Place)) + 1 // one byte for the opcode
	}
	return n
}

// Dealt subtracts the cost of handled events from the total cost of waiting events, which is limited. Any goroutine may
// call Dealt.
func (h *Handler) Dealt(cost int64) { atomic.AddInt64((*int64)(&h.shared.event_bytes), -cost) }

// Published adds the cost of an event that the server itself publishes to the same total. Dealt must be called after
// the event has been handled. Any goroutine may call Published.
func (h *Handler) Published(cost int64) { atomic.AddInt64((*int64)(&h.shared.event_bytes), cost) }

// listen handles the messages of the application, on the event loop.
func (h *Handler) listen() {
	atomic.StoreUint32((*uint32)(&h.shared.purges), 0) // first, so that patterns that arrive during eachMessage count
	var events []Event
	var purges []string
	eachMessage(func(kind byte, texts []string) {
		switch kind {
		case C.CORE_PURGE:
			purges = append(purges, texts[0])
		case C.CORE_EVENT:
			events = append(events, Event{Name: texts[0], ID: texts[1], Type: texts[2], Data: texts[3]})
		case C.CORE_BROADCAST:
			events = append(events, Event{Place: texts[0], Name: texts[1], Binary: texts[2][0] == C.CORE_OP_BINARY,
				Data: texts[3]})
		case C.CORE_JOIN, C.CORE_LEAVE:
			h.changeGroup(binary.NativeEndian.Uint64([]byte(texts[0])), texts[1], kind == C.CORE_JOIN)
		case C.CORE_ERROR_LINES:
			writeErrorLines(texts)
		case C.CORE_FAILURE:
			keepFailure(texts[0])
		case C.CORE_FULL:
			go h.tellFull(fullOf(texts[0]))
		}
	})
	if len(purges) > 0 && h.config.Purge != nil {
		h.config.Purge(purges)
	}
	switch {
	case len(events) == 0:
	case h.config.Publish == nil:
		for i := range events {
			h.Dealt(events[i].Cost())
		}
	default:
		h.config.Publish(events)
	}
}

// eachMessage takes the waiting messages, and calls f with the kind and the texts of each message. The function f must
// not keep the slice texts.
func eachMessage(f func(kind byte, texts []string)) {
	var n C.size_t
	all := C.core_messages(&n)
	defer C.free(unsafe.Pointer(all))
	cut := func(source *[]byte) (part []byte) { // removes the first part of *from; each part begins with its length
		end := 4 + binary.NativeEndian.Uint32(*source)
		part, *source = (*source)[4:end], (*source)[end:]
		return part
	}
	var texts []string
	for rest := unsafe.Slice((*byte)(unsafe.Pointer(all)), int(n)); len(rest) > 0; {
		kind := rest[0]
		rest, texts = rest[1:], texts[:0]
		for message := cut(&rest); len(message) > 0; {
			texts = append(texts, string(cut(&message)))
		}
		f(kind, texts)
	}
}

// CountSubscribers sets the number of subscribers that a channel has in this process or, if elsewhere is true, in all
// other processes. fapws.subscribers returns the sum. CountSubscribers is safe for concurrent use.
func CountSubscribers(name string, elsewhere bool, n int64) {
	C.live_count_subscribers(bytesOf(name), C.size_t(len(name)), C.int(boolByte(elsewhere)), C.int64_t(n))
}

// HasSubscribers reports whether a channel has subscribers in any process, and is safe for concurrent use.
func HasSubscribers(name string) bool {
	return C.live_subscriber_count(bytesOf(name), C.size_t(len(name))) > 0
}

// The event loop keeps the groups of WebSockets (live.Sockets.Broadcast). The full name of a group consists of a string
// called the place, and of the name that the application has chosen. The place tells which fapws.WebSocket the group
// belongs to. All ASGI applications share one place.

// placeMounts sets Mount.Place for each fapws.WebSocket. The place is the same in all processes and after a reload. It
// consists of the name of the application in the configuration, the prefix and the name of the callbacks. If several
// WebSockets have the same three values, a number is appended for all but the first.
func placeMounts(mounts []Mount, application string, seen map[string]int) {
	first := map[*python3.PyObject]string{}
	for i := range mounts {
		m := &mounts[i]
		if !kinds[m.Kind].callbacks {
			continue
		}
		if m.Place = first[m.callable]; m.Place != "" && m.callable != nil {
			continue
		}
		name := strings.Join([]string{application, m.Prefix, m.Name}, "\n")
		if seen[name]++; seen[name] > 1 {
			name += "\n" + strconv.Itoa(seen[name])
		}
		m.Place = strings.ReplaceAll(name, "\x00", "")
		first[m.callable] = m.Place
	}
}

func (m *Mount) Group() string {
	if m.Place == "" {
		return ""
	}
	return groupAt(m.Place, "")
}

func groupAt(place, name string) string { return place + "\x00" + name }

func (e *Event) Group() string { return groupAt(e.Place, e.Name) }

func IsGroup(name string) bool { return strings.Contains(name, "\x00") }

// GroupKey returns the key of a group for CountSubscribers, as count_key in live_groups.c does.
func GroupKey(group string) string {
	key := fnv.New64a()
	_, _ = io.WriteString(key, group)
	return fmt.Sprintf("#%016x", key.Sum64())
}

// ForPython reports whether e is for the Python code of all processes (fapws._ipc) and not for clients. Such an event
// must be passed to TakeMessage.
func (e *Event) ForPython() bool { return e.Place == C.CORE_PLACE_PYTHON }

// TakeMessage passes an event to the Python code of this process. If too many events wait, TakeMessage drops the
// event. The result is false only for the first dropped event, so that the caller logs one line. TakeMessage is safe
// for concurrent use.
func (h *Handler) TakeMessage(e *Event) bool {
	return C.live_ipc_put(bytesOf(e.Name), C.size_t(len(e.Name)), bytesOf(e.Data), C.size_t(len(e.Data))) != 0
}

// changeGroup handles ws.join, ws.leave and fapws.groups, on the event loop. The parameter socket is the
// core_socket_number of the WebSocket.
func (h *Handler) changeGroup(socket uint64, name string, joins bool) {
	ticket, serial := exchange.Ticket(uint32(socket)), C.uint32_t(socket>>32)
	if place := h.placeOf(ticket, serial); place != "" && h.config.ChangeGroup != nil {
		h.config.ChangeGroup(ticket, groupAt(place, name), joins)
	}
}

// placeOf returns the place of an open WebSocket, or "" if the WebSocket has ended or has no place.
func (r *activeRequests) placeOf(t exchange.Ticket, serial C.uint32_t) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.record(t)
	if rec == nil || rec.serial != serial {
		return ""
	}
	m := &r.app.mounts[rec.req.mount]
	if m.Place == "" && m.Kind.WebSockets() {
		return C.CORE_PLACE_ASGI
	}
	return m.Place
}

// PresenceEvent reports that a client has become a subscriber of a channel, or has left the channel.
type PresenceEvent struct {
	Left    bool   `json:"left"`
	Name    string `json:"name"`
	Number  uint64 `json:"number"` // number of the client; its join event and its leave event have the same number
	Address string `json:"address"`
	User    string `json:"user"`
	LastID  string `json:"last"`
}

const (
	mostNotices = 20000
	atOnce      = 500
)

// presenceQueue contains events for the callbacks of fapws.on_join and on_leave. The event loop submits events as
// requests to an additional mount, one request at a time. Therefore callbacks run in order, on the threads that run
// handlers.
type presenceQueue struct {
	waiting []PresenceEvent
	// number of events that were dropped since the queue became full
	lost int
	rec  *C.core_record
	busy bool
	// whether events wait in the queue or a request with events is running; can be read on any goroutine
	active atomic.Bool
}

// NotifyPresence queues an event if the application has registered a callback. If the queue is full, NotifyPresence
// drops the event. The result is false only for the first dropped event, so that the caller logs one line.
// NotifyPresence must be called on the event loop.
func (h *Handler) NotifyPresence(n PresenceEvent) bool {
	if !h.WatchesPresence() {
		return true
	}
	q := &h.presence
	if len(q.waiting) >= mostNotices {
		q.lost++
		return q.lost > 1
	}
	q.lost = 0
	q.waiting = append(q.waiting, n)
	if !q.active.Swap(true) {
		C.core_wake_loop()
	}
	return true
}

// WatchesPresence reports whether the application has registered a callback of fapws.on_join or on_leave. Any goroutine
// may call it.
func (h *Handler) WatchesPresence() bool {
	return h.shared != nil && atomic.LoadUint32((*uint32)(&h.shared.watched)) != 0
}

// step submits waiting events as a request, unless such a request is running. step must be called on the event loop.
func (q *presenceQueue) step(h *Handler) {
	if q.busy {
		return
	}
	if len(q.waiting) == 0 {
		q.active.Store(false)
		return
	}
	some := q.waiting[:min(len(q.waiting), atOnce)]
	body, _ := json.Marshal(some) // cannot fail, because the events contain only strings and numbers
	if q.waiting = q.waiting[len(some):]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	q.busy = true
	if q.rec == nil {
		q.rec = newRecord()
	}
	copyRequest(q.rec, &exchange.Request{
		Mount: len(h.app.mounts), Head: noticeHead, Parsed: &noticeParsed, Path: []byte("/"),
		Body: body, Size: int64(len(body)), Spool: -1, Peer: &exchange.Peer{},
	}, "")
	q.rec.ticket, q.rec.next = ^C.uint32_t(0), nil
	q.rec.serial++
	if code := C.core_flush(number(q.rec)); code >= 0 {
		h.app.exit(int(code))
	}
	// In inline mode the request has already run. The event loop must then take the parts of the response, and call
	// step again.
	C.core_wake_loop()
}

var (
	noticeHead   = []byte("NOTE / HTTP/1.1\r\nHost: fapws\r\n\r\n")
	noticeParsed = parsedNotice()
)

func parsedNotice() (r http1.Request) {
	_, _ = r.Parse(noticeHead, &http1.DefaultLimits)
	return r
}

// Notified waits until all events have been handled, or until the duration limit has passed. Notified must not be
// called on the event loop.
func (h *Handler) Notified(limit time.Duration) {
	for end := time.Now().Add(limit); h.presence.active.Load() && time.Now().Before(end); time.Sleep(noticedTick) {
	}
}

const noticedTick = 5 * time.Millisecond

// release frees the part p and, after the last part, submits the next request.
func (q *presenceQueue) release(h *Handler, p *C.core_part) {
	last := p.last != 0
	if p != &q.rec.part0 {
		C.core_part_free(C.uintptr_t(uintptr(unsafe.Pointer(p))))
	}
	if last {
		q.busy = false
		q.step(h)
	}
}
