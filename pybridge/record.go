package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func number(rec *C.core_record) C.uintptr_t { return C.uintptr_t(uintptr(unsafe.Pointer(rec))) }

func newRecord() *C.core_record { return (*C.core_record)(C.calloc(1, C.sizeof_core_record)) }

const peerTexts = 10

// copyRequest fills in the members of rec that the event loop owns. certificate is the server's certificate, "" if the
// handler does not need it.
func copyRequest(rec *C.core_record, r *exchange.Request, certificate string) {
	p, peer := r.Parsed, r.Peer
	head := len(r.Head)
	need := head + len(r.Path) + len(peer.Addr) + len(peer.Port) + len(peer.ServerName) + len(peer.ServerPort) + len(peer.Socket) +
		len(peer.Scheme) + len(peer.Host) + len(peer.User) + len(r.Path) + r.Root + len(certificate) + peerTexts + len(r.Body)
	if r.Resumed != nil {
		need += len(r.Resumed.Subprotocol) + len(r.Resumed.Data) + 2
	}
	variables := ""
	rec.tls_version, rec.tls_cipher = 0, 0
	if t := peer.TLS; t != nil {
		variables = t.Variables
		rec.tls_version, rec.tls_cipher = C.uint16_t(t.Version), C.uint16_t(t.CipherSuite)
	}
	if need += len(variables); need > int(rec.cap) {
		size := max(1024, need)
		C.free(unsafe.Pointer(rec.data))
		rec.data = (*C.char)(C.malloc(C.size_t(size)))
		rec.cap = C.size_t(size)
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(rec.data)), int(rec.cap))
	n := copy(data, r.Head)
	add := func(s string) C.core_span {
		at := n
		n += copy(data[n:], s)
		data[n] = '\n' // separates texts, so that they can be compared at once
		n++
		return C.core_span{off: C.uint32_t(at), len: C.uint32_t(len(s))}
	}
	rec.method, rec.target, rec.query, rec.authority = span(p.Method), span(p.Target), span(p.Query), span(p.Authority)
	// The path is in the head unless the head writes it differently, or a proxy has removed its beginning.
	if p.Plain && p.Authority.Len == 0 && string(p.Path.In(r.Head)) == string(r.Path) {
		rec.path = span(p.Path)
	} else {
		rec.path = C.core_span{off: C.uint32_t(n), len: C.uint32_t(len(r.Path))}
		n += copy(data[n:], r.Path)
	}
	from := n
	rec.addr, rec.server_name, rec.server_port = add(peer.Addr), add(peer.ServerName), add(peer.ServerPort)
	rec.socket_path = add(peer.Socket)
	rec.scheme, rec.host, rec.user, rec.tls = add(peer.Scheme), add(peer.Host), add(peer.User), add(variables)
	if r.Routed { // the head does not contain the path
		n += copy(data[n:], r.Path)
	}
	n += copy(data[n:], r.Path[:r.Root])
	rec.head_len, rec.peer_len = C.uint32_t(head), C.uint32_t(n-from)
	rec.port, rec.tls_server = add(peer.Port), add(certificate)
	if rec.handed = boolByte(r.Resumed != nil); r.Resumed != nil {
		rec.subprotocol, rec.state = add(r.Resumed.Subprotocol), add(string(r.Resumed.Data))
	}
	rec.body_off, rec.body_len = C.size_t(n), C.size_t(len(r.Body))
	copy(data[n:], r.Body)
	if n := len(p.Fields); n > int(rec.fields_cap) {
		size := max(16, n)
		C.free(unsafe.Pointer(rec.fields))
		rec.fields = (*C.core_field)(C.malloc(C.size_t(size) * C.sizeof_core_field))
		rec.fields_cap = C.uint32_t(size)
	}
	copy(unsafe.Slice((*http1.Field)(unsafe.Pointer(rec.fields)), int(rec.fields_cap)), p.Fields) // their layout is that of core_field
	rec.nfields = C.uint32_t(len(p.Fields))
	rec.mount = C.uint32_t(r.Mount)
	rec.log = C.uint32_t(r.ErrorLog)
	rec.script_len = C.uint32_t(r.Script)
	rec.size = C.int64_t(r.Size)
	rec.spool = C.int32_t(r.Spool)
	rec.version = C.uint8_t(p.Version)
	rec.head_only = boolByte(p.Head)
	rec.trailers = boolByte(p.Trailers && !p.Head)
	rec.by_form = boolByte(peer.Login == exchange.Form)
	rec.foreign = 0
	rec.has_length = boolByte(p.Body != http1.NoBody)
	rec.chunked = boolByte(p.Body == http1.Chunked)
	rec.has_body = boolByte(r.Size > 0)
	rec.more, rec.websocket, rec.socket = boolByte(r.More), boolByte(r.WebSocket), C.int32_t(r.Socket)
	rec.open, rec.socket_object, rec.taken = 0, nil, 0
	rec.cancelled = 0
	rec.job = C.CORE_RUN
	rec.unacked, rec.counted, rec.resumed, rec.multiplexed = 0, 0, 0, boolByte(r.Multiplexed)
	rec.events, rec.closing, rec.inputs, rec.inputs_tail, rec.exchange = 0, 0, nil, nil, nil
	rec.routed, rec.traced = boolByte(r.Routed), boolByte(r.Traced)
}

func span(s http1.Span) C.core_span {
	return C.core_span{off: C.uint32_t(s.Off), len: C.uint32_t(s.Len)}
}

func boolByte(b bool) C.uint8_t {
	if b {
		return 1
	}
	return 0
}

var _ [unsafe.Sizeof(http1.Field{}) - C.sizeof_core_field]byte
var _ [C.sizeof_core_field - unsafe.Sizeof(http1.Field{})]byte

func (h *Handler) Next(out *exchange.Part) bool {
	for {
		if h.given > 0 {
			h.dealtWith()
		}
		if h.ready == nil && !h.collect() {
			return false
		}
		p := h.ready
		h.ready = p.next
		if p.unseen != 0 {
			h.given = int64(p.body_len)
		}
		if p.rec != h.presence.rec {
			fill(out, p)
			return true
		}
		h.presence.release(h, p)
	}
}

// dealtWith reports that the event loop has handled the last part of Next, and starts requests that waited for it.
func (h *Handler) dealtWith() {
	left := atomic.AddInt64((*int64)(&h.shared.unseen), -h.given)
	if left <= C.CORE_UNSEEN_MAX && left+h.given > C.CORE_UNSEEN_MAX {
		C.core_loop_has_seen()
	}
	h.given = 0
}

// collect takes all finished parts from the shared list. It clears wake_pending first, because a part that is published
// after the swap must wake the event loop again.
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
		h.listen() // handles messages of the handlers of these parts first
	}
	if h.presence.active.Load() {
		h.presence.step(h)
	}
	return h.ready != nil
}

// mediaTypes are the types of responses whose handler has set none, by CORE_TYPE_.
var mediaTypes = [...]string{
	C.CORE_TYPE_SET:     "", // the handler has set it, or the response must not have one
	C.CORE_TYPE_HTML:    "text/html; charset=utf-8",
	C.CORE_TYPE_BINARY:  "application/octet-stream",
	C.CORE_TYPE_JSON:    "application/json",
	C.CORE_TYPE_BY_NAME: "",
}

func fill(out *exchange.Part, p *C.core_part) {
	out.Ticket = exchange.Ticket(p.ticket)
	out.First, out.Last, out.Failed = p.first != 0, p.last != 0, p.failed != 0
	out.Body = nil
	if p.body_len > 0 {
		out.Body = unsafe.Slice((*byte)(unsafe.Pointer(p.body)), int(p.body_len))
	}
	out.File, out.Offset, out.Count = int(p.file), int64(p.offset), int64(p.count)
	out.Ref = p
	out.Op, out.Code, out.Credit = exchange.Op(p.op), uint16(p.code), int64(p.credit)
	out.Taken = p.taken != 0
	out.Trailers = nil
	if !out.First {
		if p.fields_len > 0 {
			trailers := exchange.Trailers(within(p, p.fields_off, p.fields_len))
			out.Trailers = &trailers
		}
		if out.Op == exchange.OpHandOver {
			out.Head.Request = requestOf(p)
		}
		return
	}
	head := &out.Head
	*head = exchange.Head{}
	head.Status, head.Length, head.Type = int(p.status), int64(p.length), mediaTypes[p._type]
	if p._type == C.CORE_TYPE_BY_NAME {
		head.Type = http1.MediaTypeByName(within(p, p.name_off, p.name_len))
	}
	head.Reason = within(p, p.reason_off, p.reason_len)
	head.Fields = within(p, p.fields_off, p.fields_len)
	head.HasDate, head.HasServer, head.Close = p.has_date != 0, p.has_server != 0, p.close_conn != 0
	if p.channel_len > 0 {
		out.Head.Channel, out.Head.Length = within(p, p.channel_off, p.channel_len), -1
		out.Head.Request = requestOf(p)
	}
	if p.websocket != 0 {
		out.Head.WebSocket, out.Head.Subprotocol = true, within(p, p.subprotocol_off, p.subprotocol_len)
	}
	if p.failure != 0 {
		out.Head.Instead = exchange.Refusal
		if p.rec.foreign != 0 {
			head.Reason = tracebackElsewhere
		}
	}
	if p.send_len > 0 {
		out.Head.Instead = exchange.NamedFile
		out.Head.SendFile, out.Head.Accel = within(p, p.send_off, p.send_len), p.accel != 0
		out.Head.Request = requestOf(p)
	}
	if p.static_len > 0 {
		out.Head.Instead = exchange.StaticFiles
		if p.program != 0 {
			out.Head.Instead = exchange.Program
		}
		out.Head.Static = within(p, p.static_off, p.static_len)
		out.Head.StaticPath = within(p, p.path_off, p.path_len)
		out.Head.StaticScript = int(p.script_len)
		out.Head.Request = requestOf(p)
	}
}

var tracebackElsewhere = []byte("The log has the traceback. To see it here, ask for this page at localhost or 127.0.0.1.")

func requestOf(p *C.core_part) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p.rec.data)), int(p.rec.head_len))
}

func within(p *C.core_part, off, n C.uint32_t) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p.buf), int(off))), int(n))
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
	if rec.pipeline != nil { // the rest of unacked belongs to the last part
		atomic.AddInt64((*int64)(&rec.pipeline.unacked), -int64(rec.unacked))
	}
	h.mu.Lock() // describe reads the data
	if rec.cap > keepBytes {
		C.free(unsafe.Pointer(rec.data))
		rec.data, rec.cap = nil, 0
	}
	if rec.part0.cap > keepBytes {
		C.free(unsafe.Pointer(rec.part0.buf))
		rec.part0.buf, rec.part0.cap = nil, 0
	}
	if rec.websocket != 0 && kinds[h.app.mounts[rec.mount].Kind].callbacks {
		h.sockets--
	}
	h.records[rec.ticket] = nil
	rec.next = h.free
	h.free = rec
	h.mu.Unlock()
}
