package pybridge

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// PresenceEvent tells the application that a client has subscribed or unsubscribed.
type PresenceEvent struct {
	Left    bool   `json:"left"`
	Name    string `json:"name"`   // of the channel
	Number  uint64 `json:"number"` // of the client, the same when it leaves
	Address string `json:"address"`
	User    string `json:"user"` // as logged in, "": not logged in
	LastID  string `json:"last"` // Last-Event-ID, "": none
}

const (
	// mostNotices is the maximum number of events that wait for the application, which handles them one after the other.
	mostNotices = 20000
	// atOnce is the maximum number of events in a request.
	atOnce = 500
)

// presenceQueue has events for the callbacks of fapws.on_join and on_leave. They are submitted as requests without a client, one
// at a time, to a mount after those of the application: so callbacks run where handlers run, in order, and one at a time.
type presenceQueue struct {
	mu      sync.Mutex
	waiting []PresenceEvent
	lost    int             // number of events since the queue is full
	rec     *C.fapws_record // of the request; event loop only
	busy    bool            // the request is active
}

// NotifyPresence queues an event, if the application has registered a callback. It returns false for the first event that is
// dropped because the queue is full. It does not block, and must be called on the event loop.
func (h *Handler) NotifyPresence(n PresenceEvent) bool {
	if !h.WatchesPresence() {
		return true
	}
	q := &h.presence
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= mostNotices {
		q.lost++
		return q.lost > 1
	}
	q.lost = 0
	q.waiting = append(q.waiting, n)
	if len(q.waiting) == 1 && !q.busy {
		C.fapws_wake_loop() // the event loop calls step when it can run handlers
	}
	return true
}

// WatchesPresence reports whether the application has registered a callback of fapws.on_join or on_leave. It is safe for concurrent
// use.
func (h *Handler) WatchesPresence() bool {
	return h.shared != nil && atomic.LoadUint32((*uint32)(&h.shared.watched)) != 0
}

// step submits queued events, unless a request is active. It must be called on the event loop.
func (q *presenceQueue) step(h *Handler) {
	q.mu.Lock()
	if q.busy || len(q.waiting) == 0 {
		q.mu.Unlock()
		return
	}
	some := q.waiting[:min(len(q.waiting), atOnce)]
	body, err := json.Marshal(some)
	if q.waiting = q.waiting[len(some):]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	q.busy = err == nil
	q.mu.Unlock()
	if err != nil {
		return // impossible: strings and numbers
	}
	if q.rec == nil {
		q.rec = newRecord()
	}
	copyRequest(q.rec, &exchange.Request{
		Mount: len(h.app.mounts), Head: noticeHead, Parsed: &noticeParsed, Path: []byte("/"),
		Body: body, Size: int64(len(body)), Spool: -1, Peer: &exchange.Peer{},
	})
	q.rec.ticket, q.rec.next = ^C.uint32_t(0), nil
	q.rec.serial++
	q.rec.thread = nil
	h.exitAsked(C.fapws_flush(number(q.rec)))
	C.fapws_wake_loop() // in inline mode it has run: the event loop takes its parts, and calls step again
}

var (
	noticeHead   = []byte("NOTE / HTTP/1.1\r\nHost: fapws\r\n\r\n")
	noticeParsed = parsedNotice()
)

func parsedNotice() (r http1.Request) {
	lim := http1.Limits{}.WithDefaults()
	_, _ = r.Parse(noticeHead, &lim) // a constant
	return r
}

// Notified returns when all events have been handled, or after limit. It must not be called on the event loop.
func (h *Handler) Notified(limit time.Duration) {
	q := &h.presence
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(noticedTick) {
		q.mu.Lock()
		done := !q.busy && len(q.waiting) == 0
		q.mu.Unlock()
		if done {
			return
		}
	}
}

const noticedTick = 5 * time.Millisecond

// taken removes parts of these requests from a list: they have no client.
func (q *presenceQueue) taken(list *C.fapws_part) *C.fapws_part {
	first := list
	for at := &first; *at != nil; {
		p := *at
		if p.rec != q.rec || q.rec == nil {
			at = &p.next
			continue
		}
		*at = p.next
		last := p.last != 0
		if p != &q.rec.part0 {
			C.fapws_part_free(C.uintptr_t(uintptr(unsafe.Pointer(p))))
		}
		if last {
			q.mu.Lock()
			q.busy = false
			q.mu.Unlock()
		}
	}
	return first
}
