package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"net/http"
	"sync/atomic"
	"syscall"
	"unsafe"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func number(rec *C.core_record) C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(rec))) }

func newRecord() *C.core_record { return (*C.core_record)(C.calloc(1, C.sizeof_core_record)) }

const peerTexts = 10

// copyRequest copies r to the members of rec that the event loop owns; certificate is the server's certificate, or ""
// if the handler does not need it.
func copyRequest(rec *C.core_record, r *exchange.Request, certificate string) {
	p, peer := r.Parsed, r.Peer
	scheme := "" // http
	if peer.HTTPS {
		scheme = "https"
	}
	head := len(r.Head)
	need := head + len(r.Path) + len(peer.Addr) + len(peer.Port) + len(peer.ServerName) + len(peer.ServerPort) +
		len(peer.Socket) + len(scheme) + len(peer.Host) + len(peer.User) + len(r.Path) + r.Root +
		len(certificate) + peerTexts
	if !r.Stays {
		need += len(r.Body)
	}
	variables := ""
	rec.req.tls_version, rec.req.tls_cipher = 0, 0
	if t := peer.TLS; t != nil {
		variables = t.Variables
		rec.req.tls_version, rec.req.tls_cipher = C.uint16_t(t.Version), C.uint16_t(t.CipherSuite)
	}
	if need += len(variables); need > int(rec.req.cap) {
		size := max(1024, need)
		C.free(unsafe.Pointer(rec.req.data))
		rec.req.data = (*C.char)(C.malloc(C.size_t(size)))
		rec.req.cap = C.size_t(size)
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(rec.req.data)), int(rec.req.cap))
	n := copy(data, r.Head)
	add := func(s string) C.core_span {
		at := n
		n += copy(data[n:], s)
		data[n] = '\n' // separates the texts, so that the cache can compare all of them with one memcmp
		n++
		return C.core_span{off: C.uint32_t(at), len: C.uint32_t(len(s))}
	}
	span := func(s http1.Span) C.core_span { return C.core_span{off: C.uint32_t(s.Off), len: C.uint32_t(s.Len)} }
	rec.req.method, rec.req.target, rec.req.query, rec.req.authority = span(p.Method), span(p.Target), span(p.Query),
		span(p.Authority)
	// If the head contains the same bytes as r.Path, the path need not be copied.
	if p.Plain && p.Authority.Len == 0 && string(p.Path.In(r.Head)) == string(r.Path) {
		rec.req.path = span(p.Path)
	} else {
		rec.req.path = C.core_span{off: C.uint32_t(n), len: C.uint32_t(len(r.Path))}
		n += copy(data[n:], r.Path)
	}
	from := n
	rec.req.addr, rec.req.server_name, rec.req.server_port = add(peer.Addr), add(peer.ServerName), add(peer.ServerPort)
	rec.req.socket_path = add(peer.Socket)
	rec.req.scheme, rec.req.host, rec.req.user, rec.req.tls = add(scheme), add(peer.Host), add(peer.User),
		add(variables)
	if r.Routed { // the server has rewritten the path, so the path is not in the head
		n += copy(data[n:], r.Path)
	}
	n += copy(data[n:], r.Path[:r.Root])
	rec.req.head_len, rec.req.peer_len = C.uint32_t(head), C.uint32_t(n-from)
	rec.req.port, rec.req.tls_server = add(peer.Port), add(certificate)
	body := r.Body
	if !r.Stays {
		body = data[n:]
		copy(body, r.Body)
	}
	rec.req.body, rec.req.body_len = (*C.char)(unsafe.Pointer(unsafe.SliceData(body))), C.size_t(len(r.Body))
	if n := len(p.Fields); n > int(rec.req.fields_cap) {
		size := max(16, n)
		C.free(unsafe.Pointer(rec.req.fields))
		rec.req.fields = (*C.core_field)(C.malloc(C.size_t(size) * C.sizeof_core_field))
		rec.req.fields_cap = C.uint32_t(size)
	}
	// The fields are copied without conversion, because http1.Field has the layout of core_field.
	copy(unsafe.Slice((*http1.Field)(unsafe.Pointer(rec.req.fields)), int(rec.req.fields_cap)), p.Fields)
	rec.req.nfields = C.uint32_t(len(p.Fields))
	rec.req.mount = C.uint32_t(r.Mount)
	rec.req.log = C.uint32_t(r.ErrorLog)
	rec.req.script_len, rec.req.root_len = C.uint32_t(r.Script), C.uint32_t(r.Root)
	rec.req.size, rec.req.number = C.int64_t(r.Size), C.uint64_t(r.Number)
	rec.req.version, rec.req.shares = C.uint8_t(p.Version), boolByte(p.Version.Has(http1.SharesConnection))
	rec.req.head_only = boolByte(p.Head)
	rec.req.trailers = boolByte(p.Trailers && !p.Head)
	rec.req.hints = boolByte(!r.Upgrade && r.TakesInterim())
	rec.req.by_form = boolByte(peer.Login == exchange.Form)
	rec.req.foreign = 0
	rec.req.has_length = boolByte(p.Body != http1.NoBody)
	rec.req.chunked = boolByte(p.Body == http1.Chunked)
	rec.req.has_body = boolByte(r.Size > 0)
	rec.req.more, rec.req.websocket, rec.req.resumed = boolByte(r.More), boolByte(r.Upgrade), 0
	rec.run = C.struct_core_run{job: C.CORE_RUN, spool: C.int32_t(r.Spool), socket: C.int32_t(r.Socket), declared: -1}
	rec.cancelled, rec.closing = 0, 0
	rec.inputs.open, rec.inputs.events, rec.inputs.closing, rec.inputs.first, rec.inputs.last = 0, 0, 0, nil, nil
	rec.req.routed, rec.req.own = boolByte(r.Routed), C.uint8_t(r.Own)
}

func boolByte(b bool) C.uint8_t {
	if b {
		return 1
	}
	return 0
}

var _ [unsafe.Sizeof(http1.Field{}) - C.sizeof_core_field]byte
var _ [C.sizeof_core_field - unsafe.Sizeof(http1.Field{})]byte

func (h *Handler) Next(part *exchange.Part) (exchange.Ticket, bool) {
	for {
		if h.given > 0 {
			h.dealtWith()
		}
		if h.ready == nil && !h.collect() {
			return 0, false
		}
		p := h.ready
		h.ready = p.next
		if p.unseen != 0 {
			h.given = int64(p.body_len)
		}
		if p.rec != h.presence.rec {
			h.fill(part, p)
			return exchange.Ticket(p.ticket), true
		}
		h.presence.release(h, p)
	}
}

// dealtWith is called when the event loop has handled the part that Next returned last. Requests that waited because of
// CORE_UNSEEN_MAX can then start.
func (h *Handler) dealtWith() {
	left := atomic.AddInt64((*int64)(&h.shared.unseen), -h.given)
	if most := int64(h.shared.unseen_max); left <= most && left+h.given > most {
		C.core_loop_has_seen()
	}
	h.given = 0
}

// collect takes all finished parts from the shared list. collect clears wake_pending before it takes the parts, so that
// a part that is published later wakes the event loop again.
func (h *Handler) collect() bool {
	done := (*unsafe.Pointer)(unsafe.Pointer(&h.shared.done))
	pending := (*uint32)(&h.shared.wake_pending)
	if atomic.LoadUint32(pending) != 0 {
		atomic.StoreUint32(pending, 0)
	} else if atomic.LoadPointer(done) == nil {
		return false
	}
	newest := (*C.core_part)(atomic.SwapPointer(done, nil))
	for newest != nil {
		next := newest.next
		newest.next = h.ready
		h.ready = newest
		newest = next
	}
	if atomic.LoadUint32((*uint32)(&h.shared.messages)) != 0 {
		h.listen() // messages of handlers must be handled before the parts of their responses
	}
	if h.presence.active.Load() {
		h.presence.step(h)
	}
	return h.ready != nil
}

// mediaTypes maps a CORE_TYPE_ value to the Content-Type of a response for which the handler has set none.
var mediaTypes = [...]string{
	C.CORE_TYPE_SET:     "", // the handler has set the type, or the response must not have a type
	C.CORE_TYPE_HTML:    "text/html; charset=utf-8",
	C.CORE_TYPE_BINARY:  "application/octet-stream",
	C.CORE_TYPE_JSON:    "application/json",
	C.CORE_TYPE_BY_NAME: "",
}

func (h *Handler) fill(part *exchange.Part, p *C.core_part) {
	if p.made_ns != 0 && p.rec.run.began_ns != 0 {
		times, began := h.times[p.ticket], p.rec.run.began_ns
		times.Wait.Store(int64(began - p.rec.req.since_ns))
		times.Python.Store(int64(p.made_ns - began))
	}
	part.First, part.End = p.first != 0, exchange.NotLast
	switch {
	case p.taken != 0:
		part.End = exchange.Detached
	case p.failed != 0:
		part.End = exchange.Incomplete
	case p.last != 0:
		part.End = exchange.Complete
	}
	part.Body = nil
	if p.body_len > 0 {
		part.Body = unsafe.Slice((*byte)(unsafe.Pointer(p.body)), int(p.body_len))
	}
	part.File = nil
	if p.file >= 0 {
		part.File = &exchange.File{FD: int(p.file), Offset: int64(p.offset), Count: int64(p.count)}
	}
	part.Ref, part.Op, part.Number, part.Trailers = p, exchange.Op(p.op), int64(p.number), nil
	if part.Interim = p.interim != 0; part.Interim {
		part.Head = exchange.Head{Status: http.StatusEarlyHints, Fields: within(p, p.fields_off, p.fields_len)}
		return
	}
	if !part.First {
		if p.fields_len > 0 {
			trailers := exchange.Trailers(within(p, p.fields_off, p.fields_len))
			part.Trailers = &trailers
		}
		return
	}
	head := &part.Head
	*head = exchange.Head{}
	head.Status, head.Length, head.Type = int(p.status), int64(p.length), mediaTypes[p._type]
	if p._type == C.CORE_TYPE_BY_NAME {
		head.Type = http1.MediaTypeByName(within(p, p.name_off, p.name_len))
	}
	head.Reason = within(p, p.reason_off, p.reason_len)
	head.Fields = within(p, p.fields_off, p.fields_len)
	head.HasDate, head.HasServer, head.Close = p.has_date != 0, p.has_server != 0, p.close_conn != 0
	if p.channel_len > 0 {
		head.Length = -1
	}
	if p.failure != 0 && p.rec.req.foreign != 0 {
		head.Reason = tracebackElsewhere
	}
	if p.websocket != 0 || p.channel_len > 0 || p.failure != 0 || p.send_len > 0 || p.static_len > 0 {
		head.Then = h
	}
}

// A Then holds the functions that continue an exchange if the handler has named a file, a program or a channel, or has
// accepted a WebSocket. The functions are called on the event loop.
type Then struct {
	// for X-Sendfile and X-Accel-Redirect, and for a Staticfile, whose path is in Request.Path
	SendFiles exchange.Continuation
	// for a CGIApplication, with the fields Path, Script and Options of the Request
	RunProgram exchange.Continuation
	Subscribe  exchange.Continuation // for Fapws-Channel
	// for an accepted WebSocket; the Request is nil, and the text is the subprotocol
	Accept exchange.Continuation
}

func (h *Handler) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	part, then := p.Ref.(*C.core_part), &h.config.Then
	switch {
	case part.failure != 0:
		return exchange.Refusal{}.Continue(x, p)
	case part.websocket != 0:
		return then.Accept(x, p, nil, within(part, part.subprotocol_off, part.subprotocol_len))
	}
	req := &part.rec.req
	r := &exchange.Request{Head: requestOf(part), ErrorLog: int(req.log), Root: int(req.root_len),
		Own: int(req.own)}
	switch {
	case part.static_len > 0:
		r.Options, r.Path, r.Script = string(within(part, part.static_off, part.static_len)),
			within(part, part.path_off, part.path_len), int(part.script_len)
		if part.program != 0 {
			return then.RunProgram(x, p, r, nil)
		}
		return then.SendFiles(x, p, r, nil)
	case part.send_len > 0:
		if r.Options = "X-Sendfile"; part.accel != 0 {
			r.Options = "X-Accel-Redirect"
		}
		return then.SendFiles(x, p, r, within(part, part.send_off, part.send_len))
	}
	return then.Subscribe(x, p, r, within(part, part.channel_off, part.channel_len))
}

var tracebackElsewhere = []byte("The log has the traceback. To see it here, ask for this page at localhost " +
	"or 127.0.0.1.")

func requestOf(p *C.core_part) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p.rec.req.data)), int(p.rec.req.head_len))
}

func within(p *C.core_part, offset, n C.uint32_t) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p.buf), int(offset))), int(n))
}

func (h *Handler) Release(part *exchange.Part) {
	p := part.Ref.(*C.core_part)
	rec, last := p.rec, p.last != 0
	if p.file >= 0 {
		syscall.Close(int(p.file))
		p.file = -1
	}
	unacked := p.unacked
	if p != &rec.part0 {
		C.core_part_free(C.uintptr_t(uintptr(unsafe.Pointer(p))))
	}
	if !last {
		if unacked > 0 {
			C.core_acked(number(rec), unacked)
		}
		return
	}
	if rec.req.pipeline != nil { // rec.run.unacked stays as it is, because the record ends
		atomic.AddInt64((*int64)(&rec.req.pipeline.unacked), -int64(rec.run.unacked))
	}
	h.recycle(rec)
}

func (h *Handler) recycle(rec *C.core_record) {
	h.mu.Lock() // activeRequests.describe reads the members changed below
	defer h.mu.Unlock()
	if rec.req.cap > keepBytes {
		C.free(unsafe.Pointer(rec.req.data))
		rec.req.data, rec.req.cap = nil, 0
	}
	if rec.part0.cap > keepBytes {
		C.free(unsafe.Pointer(rec.part0.buf))
		rec.part0.buf, rec.part0.cap = nil, 0
	}
	if rec.req.websocket != 0 && kinds[h.app.mounts[rec.req.mount].Kind].callbacks {
		h.sockets--
	}
	h.records[rec.ticket] = nil
	rec.next = h.free
	h.free = rec
}
