package pybridge

// #include "shim.h"
// #include "shim_messages.h"
import "C"

import (
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"fapws/runtime/exchange"

	python3 "github.com/go-python/cpy3"
)

const (
	// mostBehind is how many bytes a client may be behind before it is closed with
	// 1013 instead of getting a broadcast (BEHIND_BYTES of wsobject.c), unless two of the
	// largest messages are more.
	mostBehind = 1 << 20

	// mostBroadcasts bounds the bytes of broadcasts that wait for the loop.
	mostBroadcasts = 8 << 20

	tooSlow = "too slow" // why a client is closed
)

// socketRegistry knows the WebSockets for synchronous code, by entry of PATHS and group, and
// sends them what fapws.broadcast is given for all; and those of ASGI applications by the
// groups of fapws.groups, which all applications share. It takes no GIL. Of the loop, but
// for the inbox.
type socketRegistry struct {
	byMount  []*socketGroup                     // nil: no WebSocket
	byPlace  map[string]*socketGroup            // by what all processes call it
	byObject map[*python3.PyObject]*socketGroup // of fapws.WebSocket
	members  []*groupMember                     // by ticket

	queue          []Event // to be sent, in order
	broadcastPacer         // of that

	inbox struct {
		sync.Mutex
		waiting []Event
		bytes   int // of them, and of queue
	}
}

// socketGroup has the sockets that are connected to one fapws.WebSocket, by its entries in PATHS, or to all ASGI applications.
type socketGroup struct {
	place  string
	asgi   bool
	groups map[string]map[*groupMember]struct{} // "": all; not of ASGI
}

// groupMember is one WebSocket, from its handshake to its last part.
type groupMember struct {
	rec    *C.fapws_record
	group  *socketGroup
	groups []string  // in addition to ""
	open   bool      // it was accepted
	over   bool      // a close frame, or the end, was published
	late   bool      // more was held than may be
	slow   bool      // among those that others wait for
	held   []message // until it is accepted
	size   int       // bytes of them
}

// message is one on its way to many, with a reference.
type message struct {
	shared C.uintptr_t
	op     C.int
	n      int
}

// placeMounts gives each WebSocket a name that it has in all processes, also when
// the code has been loaded again: its application as the configuration calls it, its
// prefix, what it calls back, and, where all of that is the same, its order, by seen. So
// what is another thing in newer code has another name, and is left alone.
func placeMounts(mounts []Mount, application string, seen map[string]int) {
	for i := range mounts {
		m := &mounts[i]
		if !kinds[m.Kind].callbacks {
			continue
		}
		name := strings.Join([]string{application, m.Prefix, m.Name}, "\n")
		if seen[name]++; seen[name] > 1 {
			name += "\n" + strconv.Itoa(seen[name])
		}
		m.place = strings.ReplaceAll(name, "\x00", "")
	}
}

// setUp makes a socketGroup for each WebSocket; one that is mounted twice is one, by its first place.
func (c *socketRegistry) setUp(mounts []Mount, maxEvent int) {
	c.most = max(mostBehind, 2*int64(maxEvent))
	c.byMount = make([]*socketGroup, len(mounts))
	c.byPlace = map[string]*socketGroup{}
	c.byObject = map[*python3.PyObject]*socketGroup{}
	c.byPlace[C.FAPWS_PLACE_ASGI] = &socketGroup{place: C.FAPWS_PLACE_ASGI, asgi: true, groups: map[string]map[*groupMember]struct{}{}}
	for i := range mounts {
		if group := kinds[mounts[i].Kind].group; group != nil {
			c.byMount[i] = group(c, &mounts[i])
		}
	}
}

// ofASGI is the one of all ASGI applications.
func (c *socketRegistry) ofASGI(*Mount) *socketGroup { return c.byPlace[C.FAPWS_PLACE_ASGI] }

// ofObject is that of a fapws.WebSocket.
func (c *socketRegistry) ofObject(m *Mount) *socketGroup {
	one := c.byObject[m.callable]
	if one == nil {
		one = &socketGroup{place: m.place, groups: map[string]map[*groupMember]struct{}{"": {}}}
		c.byObject[m.callable] = one
		c.byPlace[m.place] = one
	}
	return one
}

// asked notes a handshake. Broadcasts from now on wait for its answer.
func (c *socketRegistry) asked(h *Handler, rec *C.fapws_record) {
	if c.byMount[rec.mount] == nil {
		return // a WSGI application, which gets the socket
	}
	for int(rec.ticket) >= len(c.members) {
		c.members = append(c.members, nil)
	}
	m := &groupMember{rec: rec, group: c.byMount[rec.mount]}
	c.members[rec.ticket] = m
	if !m.group.asgi {
		c.add(h, m, "")
	}
}

// of returns the WebSocket of a record, nil: it has ended, or is none.
func (c *socketRegistry) of(rec *C.fapws_record) *groupMember {
	if t := int(rec.ticket); t < len(c.members) && c.members[t] != nil && c.members[t].rec == rec {
		return c.members[t]
	}
	return nil
}

// see learns from finished parts, which go to the loop, which sockets were accepted and which have
// ended. out gets what was held for the former.
func (c *socketRegistry) see(h *Handler, list *C.fapws_part, out *parts) {
	var accepted []*groupMember
	for p := list; p != nil; p = p.next {
		if p.websocket == 0 && p.last == 0 && p.op != C.FAPWS_OP_CLOSE {
			continue
		}
		m := c.of(p.rec)
		if m == nil {
			continue
		}
		if p.websocket != 0 && !m.open {
			m.open = true
			accepted = append(accepted, m)
		}
		if p.op == C.FAPWS_OP_CLOSE || p.last != 0 {
			m.over = true
		}
		if p.last != 0 {
			c.forget(h, m)
		}
	}
	for _, m := range accepted {
		held := m.held
		m.held = nil
		for _, one := range held {
			if !m.over {
				out.add(C.fapws_shared_part(number(m.rec), one.shared, one.op))
			}
			C.fapws_shared_unref(one.shared)
		}
		if m.late && !m.over {
			c.drop(h, m, out)
		}
	}
}

// forget gives up a WebSocket whose last part has been published.
func (c *socketRegistry) forget(h *Handler, m *groupMember) {
	c.members[m.rec.ticket] = nil
	for _, one := range m.held {
		C.fapws_shared_unref(one.shared)
	}
	m.held = nil
	for _, group := range m.groups {
		c.remove(h, m, group)
	}
	if !m.group.asgi {
		c.remove(h, m, "")
	}
}

// drop closes a WebSocket whose client does not take what it gets.
func (c *socketRegistry) drop(h *Handler, m *groupMember, out *parts) {
	m.over = true
	reason := (*C.char)(unsafe.Pointer(unsafe.StringData(tooSlow)))
	out.add(C.fapws_close_part(number(m.rec), websocketBusy, reason, C.size_t(len(tooSlow))))
	h.deliver(m.rec, exchange.OpClose, websocketBusy, false, []byte(tooSlow)) // for on_close
}

// websocketBusy is "try again later" (RFC 6455 §7.4, IANA).
const websocketBusy = 1013

// --- groups --------------------------------------------------------------------

func (c *socketRegistry) add(h *Handler, m *groupMember, group string) {
	all := m.group.groups[group]
	if all == nil {
		all = map[*groupMember]struct{}{}
		m.group.groups[group] = all
	}
	all[m] = struct{}{}
	c.count(h, m.group, group)
}

func (c *socketRegistry) remove(h *Handler, m *groupMember, group string) {
	all := m.group.groups[group]
	delete(all, m)
	if len(all) == 0 && group != "" {
		delete(m.group.groups, group)
	}
	c.count(h, m.group, group)
}

// count tells how many are in a group, under the name that count_key of broadcast.c gives it.
func (c *socketRegistry) count(h *Handler, one *socketGroup, group string) {
	if h.config.Counted != nil {
		key := fnv.New64a()
		_, _ = io.WriteString(key, one.place+"\x00"+group)
		h.config.Counted(fmt.Sprintf("#%016x", key.Sum64()), len(one.groups[group]))
	}
}

// grouped is what ws.join and ws.leave have said, or fapws.groups; a socket is named by
// fapws_socket_number.
func (c *socketRegistry) grouped(h *Handler, socket uint64, group string, joins bool) {
	ticket, serial := uint32(socket), uint32(socket>>32)
	if int(ticket) >= len(c.members) || c.members[ticket] == nil || uint32(c.members[ticket].rec.serial) != serial {
		return // it has ended
	}
	m := c.members[ticket]
	at := slices.Index(m.groups, group)
	switch {
	case joins && at < 0:
		m.groups = append(m.groups, group)
		c.add(h, m, group)
	case !joins && at >= 0:
		m.groups = slices.Delete(m.groups, at, at+1)
		c.remove(h, m, group)
	}
}

// --- broadcasts ----------------------------------------------------------------

// Broadcast sends what fapws.broadcast was called with, here or in another process, to
// those who are connected to this one. It does not wait: false, too much waits for the
// loop, and later there may be room. Any goroutine.
func (h *Handler) Broadcast(e *Event) bool {
	in := &h.registry.inbox
	in.Lock()
	defer in.Unlock()
	if in.bytes > mostBroadcasts {
		return false
	}
	in.waiting = append(in.waiting, *e)
	in.bytes += len(e.Data) + eventCost
	if len(in.waiting) == 1 {
		C.fapws_wake_loop()
	}
	return true
}

// take puts what Broadcast was given into the queue.
func (c *socketRegistry) take() {
	c.inbox.Lock()
	defer c.inbox.Unlock()
	c.queue = append(c.queue, c.inbox.waiting...)
	c.inbox.waiting = nil
}

// step sends what is in the queue, unless it is a lot: then a part of it, so that it goes out
// before there is more. Otherwise a burst would look as if all clients were behind.
func (c *socketRegistry) step(h *Handler, out *parts) {
	if len(c.queue) == 0 || c.resting.Load() {
		return
	}
	if c.waits(time.Now()) {
		c.rest(laggardPause)
		return
	}
	bytes := 0
	for len(c.queue) > 0 && bytes < turnBytes {
		e := c.queue[0]
		c.queue[0] = Event{}
		c.queue = c.queue[1:]
		c.send(h, &e, out)
		bytes += len(e.Data) + eventCost
		if !h.config.Relayed {
			h.Dealt(e.Cost())
		}
	}
	if h.config.Relayed {
		c.inbox.Lock()
		c.inbox.bytes -= bytes
		c.inbox.Unlock()
	}
	if len(c.queue) == 0 {
		c.queue = nil
	} else {
		c.rest(turnPause)
	}
}

// send sends a broadcast to all whom it is for.
func (c *socketRegistry) send(h *Handler, e *Event, out *parts) {
	if e.Place == C.FAPWS_PLACE_PYTHON {
		C.fapws_ipc_put(bytesOf(e.Name), C.size_t(len(e.Name)), bytesOf(e.Data), C.size_t(len(e.Data)))
		return
	}
	one := c.byPlace[e.Place]
	if one == nil || len(one.groups[e.Name]) == 0 {
		return
	}
	msg := message{op: C.FAPWS_OP_TEXT, n: len(e.Data)}
	if e.Binary {
		msg.op = C.FAPWS_OP_BINARY
	}
	if msg.shared = C.fapws_share(bytesOf(e.Data), C.size_t(msg.n)); msg.shared == 0 {
		return
	}
	defer C.fapws_shared_unref(msg.shared)
	for m := range one.groups[e.Name] {
		switch {
		case m.over || atomic.LoadUint32((*uint32)(&m.rec.cancelled)) != 0:
		case !m.open:
			m.hold(msg, c.most)
		case m.behind() > c.most:
			c.drop(h, m, out)
		default:
			c.watch(m)
			out.add(C.fapws_shared_part(number(m.rec), msg.shared, msg.op))
		}
	}
}

// bytesOf returns where a text is, for a call that keeps nothing of it.
func bytesOf(text string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(text))) }

// hold keeps a message until m is accepted.
func (m *groupMember) hold(msg message, most int64) {
	if m.size += msg.n + eventCost; int64(m.size) > most {
		m.late = true
		return
	}
	C.fapws_shared_ref(msg.shared)
	m.held = append(m.held, msg)
}

// parts is a list of them, in order.
type parts struct{ first, last *C.fapws_part }

// add appends a part; 0, there was no memory for it, is none.
func (l *parts) add(p C.uintptr_t) {
	if made := *(**C.fapws_part)(unsafe.Pointer(&p)); made != nil {
		l.append(made)
	}
}

func (l *parts) append(p *C.fapws_part) {
	if l.first == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
}

// behind appends the list to another.
func (l *parts) behind(list *C.fapws_part) *C.fapws_part {
	if list == nil {
		return l.first
	}
	last := list
	for last.next != nil {
		last = last.next
	}
	last.next = l.first
	return list
}
