package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"fapws/runtime/exchange"
)

// Next implements app.Handler.
func (h *Handler) Next(out *exchange.Part) bool {
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
	fill(out, p)
	return true
}

// dealtWith notes that the event loop has handled the last part of Next, and starts requests that wait for that.
func (h *Handler) dealtWith() {
	left := atomic.AddInt64((*int64)(&h.shared.unseen), -h.given)
	if left <= C.CORE_UNSEEN_MAX && left+h.given > C.CORE_UNSEEN_MAX {
		C.core_loop_has_seen()
	}
	h.given = 0
}

// collect takes all finished parts from the shared list. It clears wake_pending first, because a part that is published after
// the swap must wake the event loop again.
func (h *Handler) collect() bool {
	done := (*unsafe.Pointer)(unsafe.Pointer(&h.shared.done))
	pending := (*uint32)(&h.shared.wake_pending)
	if atomic.LoadUint32(pending) != 0 {
		atomic.StoreUint32(pending, 0)
	} else if atomic.LoadPointer(done) == nil {
		return false
	}
	newest := (*C.core_part)(atomic.SwapPointer(done, nil))
	for newest != nil { // the list is newest first
		next := newest.next
		newest.next = h.ready
		h.ready = newest
		newest = next
	}
	h.ready = h.presence.taken(h.ready)
	h.listen() // handles messages of the handlers of these parts, too
	h.presence.step(h)
	h.ready = h.order.pass(h.shared, h.ready)
	return h.ready != nil
}

func fill(out *exchange.Part, p *C.core_part) {
	out.Ticket = exchange.Ticket(p.ticket)
	out.First, out.Last, out.Failed = p.first != 0, p.last != 0, p.failed != 0
	out.Body = nil
	if p.body_len > 0 {
		out.Body = unsafe.Slice((*byte)(unsafe.Pointer(p.body)), int(p.body_len))
	}
	out.File, out.Offset, out.Count = int(p.file), int64(p.offset), int64(p.count)
	out.Ref = uintptr(unsafe.Pointer(p))
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
	// A literal would be made elsewhere and copied.
	head := &out.Head
	*head = exchange.Head{}
	head.Status, head.Length, head.Type = int(p.status), int64(p.length), exchange.TypeHint(p._type)
	head.Reason = within(p, p.reason_off, p.reason_len)
	head.Fields = within(p, p.fields_off, p.fields_len)
	head.Name = within(p, p.name_off, p.name_len)
	head.HasDate, head.HasServer, head.Close = p.has_date != 0, p.has_server != 0, p.close_conn != 0
	if p.channel_len > 0 {
		out.Head.Channel, out.Head.Length = within(p, p.channel_off, p.channel_len), -1
		out.Head.Request = requestOf(p)
	}
	if p.websocket != 0 {
		out.Head.WebSocket, out.Head.Subprotocol = true, within(p, p.subprotocol_off, p.subprotocol_len)
	}
	if p.failure != 0 {
		out.Head.Failure = true
		out.Head.Request = requestOf(p)
	}
	if p.send_len > 0 {
		out.Head.SendFile, out.Head.Accel = within(p, p.send_off, p.send_len), p.accel != 0
		out.Head.Request = requestOf(p)
	}
	if p.static_len > 0 {
		out.Head.Static = within(p, p.static_off, p.static_len)
		out.Head.StaticPath = within(p, p.path_off, p.path_len)
		out.Head.Program, out.Head.StaticScript = p.program != 0, int(p.script_len)
		out.Head.Request = requestOf(p)
	}
}

// requestOf returns the head of the request that p answers.
func requestOf(p *C.core_part) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p.rec.data)), int(p.rec.head_len))
}

func within(p *C.core_part, off, n C.uint32_t) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p.buf), int(off))), int(n))
}

// Release implements app.Handler.
func (h *Handler) Release(part *exchange.Part) {
	p := *(**C.core_part)(unsafe.Pointer(&part.Ref))
	rec, last := p.rec, p.last != 0
	if p.file >= 0 {
		syscall.Close(int(p.file))
		p.file = -1
	}
	sent := int64(p.body_len) + int64(p.count)
	if p != &rec.part0 {
		C.core_part_free(C.uintptr_t(uintptr(unsafe.Pointer(p))))
	}
	if last {
		if rec.pipeline != nil { // the rest of unacked is the size of the last part
			atomic.AddInt64((*int64)(&rec.pipeline.unacked), -int64(rec.unacked))
		}
		h.recycle(rec)
	} else if sent > 0 {
		C.core_acked(C.uintptr_t(uintptr(unsafe.Pointer(rec))), C.int64_t(sent))
	}
}

// recycle puts a record whose exchange has ended into the free list.
func (h *Handler) recycle(rec *C.core_record) {
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
