package remote

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
)

// Handler is an application in another process, as the Dispatcher of package app knows a handler: it implements app.Receiver. Other
// methods are safe for concurrent use.
type Handler struct {
	o       Options
	serving Serving // set by Serve
	loaded  []byte  // what each process must have loaded
	waker   *exchange.Waker

	mu     sync.Mutex
	calls  map[exchange.Ticket]*call
	ready  []delivery // for Next, in order
	woken  bool       // the loop is going to call Next
	parts  map[uintptr]*delivery
	lastID uintptr
	sleep  sleep
	asks   map[exchange.Ticket]question // by number
	asked  exchange.Ticket

	taken []delivery // of ready; the loop's
}

// call is an exchange from Submit to the Release of its last part. It is guarded by Handler.mu.
type call struct {
	ticket exchange.Ticket
	head   []byte   // of the request
	page   bool     // a browser asks for a page
	to     *process // that has it; nil: it waits for one
	frames []frame  // while it waits
	timer  *time.Timer
	begun  bool // the first part was made
	ended  bool // the last part was made
	seen   int64
}

// question is one of Ask.
type question struct {
	to     *process
	answer chan []byte // closed if the process has ended
}

// delivery is a part, or what is to be done in its place.
type delivery struct {
	c    *call
	part exchange.Part
	size int64
	do   func()
}

// Attach implements app.Handler.
func (h *Handler) Attach(w *exchange.Waker) {
	own, err := w.Duplicate() // the process may end after the server
	if err != nil {
		h.o.Log(fmt.Sprintf("the application has no descriptors of its own to wake the server: %v", err))
		own = w
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waker = own
	h.wakeLoop()
}

// wakeLoop has the loop call Next. h.mu is held.
func (h *Handler) wakeLoop() {
	if h.waker != nil && !h.woken && len(h.ready) > 0 {
		h.woken = true
		h.waker.Wake()
	}
}

// put gives something to the loop. h.mu is held.
func (h *Handler) put(d delivery) {
	h.ready = append(h.ready, d)
	h.wakeLoop()
}

// Submit implements app.Handler.
func (h *Handler) Submit(r *exchange.Request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.sleep
	if s.current == nil && len(s.waiting) >= h.serving.Queue {
		if r.Spool >= 0 {
			unix.Close(r.Spool)
		}
		if r.Socket > 0 {
			unix.Close(r.Socket)
		}
		return false
	}
	c := &call{ticket: r.Ticket, head: bytes.Clone(r.Head), page: loadsPage(r)}
	h.calls[r.Ticket] = c
	f := encodeRequest(r)
	if s.current != nil {
		c.to = s.current
		c.to.link.send(f)
		return true
	}
	c.frames = []frame{f}
	h.await(c)
	return true
}

// Deliver implements app.Receiver.
func (h *Handler) Deliver(in exchange.Input) { h.pass(encodeInput(&in)) }

// pass sends more for an exchange.
func (h *Handler) pass(f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c := h.calls[f.ticket]; {
	case c == nil || c.ended:
	case c.to == nil:
		c.frames = append(c.frames, f)
	default:
		c.to.link.send(f)
	}
}

// Flush implements app.Handler: requests are on their way already.
func (h *Handler) Flush() {}

// Next implements app.Handler.
func (h *Handler) Next(out *exchange.Part) bool {
	for {
		if len(h.taken) == 0 {
			h.mu.Lock()
			h.taken, h.ready = h.ready, nil
			h.woken = false
			h.mu.Unlock()
		}
		if len(h.taken) == 0 {
			return false
		}
		d := &h.taken[0]
		h.taken = h.taken[1:]
		if d.do != nil {
			d.do()
			continue
		}
		h.mu.Lock()
		h.lastID++
		d.part.Ref = h.lastID
		h.parts[h.lastID] = d
		h.mu.Unlock()
		*out = d.part
		return true
	}
}

// Release implements app.Handler.
func (h *Handler) Release(p *exchange.Part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.parts[p.Ref]
	delete(h.parts, p.Ref)
	if d.part.File >= 0 {
		unix.Close(d.part.File)
	}
	c := d.c
	if d.part.Last {
		delete(h.calls, c.ticket)
		h.rest()
		return
	}
	c.seen += d.size
	if c.seen > window/8 && c.to != nil && !c.ended {
		c.to.link.send(numberFrame(kindSeen, c.ticket, c.seen))
		c.seen = 0
	}
}

// Cancel implements app.Handler.
func (h *Handler) Cancel(t exchange.Ticket) { h.dismiss(frame{kind: kindCancel, ticket: t}) }

// Overdue implements app.Handler.
func (h *Handler) Overdue(t exchange.Ticket, took time.Duration) {
	h.dismiss(numberFrame(kindOverdue, t, int64(took)))
}

// dismiss ends an exchange whose client does not wait any more: at once if the application does not have it.
func (h *Handler) dismiss(f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c := h.calls[f.ticket]; {
	case c == nil || c.ended:
	case c.to == nil:
		h.giveUp(c, exchange.Part{Last: true, Failed: true, File: -1})
	default:
		c.to.link.send(f)
	}
}

// Stalled implements app.Handler: nothing runs on the loop.
func (h *Handler) Stalled() (exchange.Ticket, time.Duration) { return 0, 0 }

// Signalled implements app.Handler: signals are for the process of the application itself.
func (h *Handler) Signalled() {}

// took takes a frame of a process, in order.
func (h *Handler) took(p *process, f frame) error {
	switch f.kind {
	case kindPart:
		part, err := decodePart(&f)
		if err != nil {
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		c := h.calls[f.ticket]
		if c == nil || c.to != p || c.ended {
			closeFiles(f.files)
			if part.File >= 0 {
				unix.Close(part.File)
			}
			return nil
		}
		c.begun = c.begun || part.First
		c.ended = part.Last
		size := int64(len(part.Body))
		if part.File >= 0 {
			size += min(part.Count, window)
		}
		h.put(delivery{c: c, part: part, size: size})
	case kindRefused:
		h.mu.Lock()
		defer h.mu.Unlock()
		if c := h.calls[f.ticket]; c != nil && c.to == p && !c.ended {
			h.refuse(c, 503, "")
		}
	case kindMessage:
		if len(f.data) == 0 {
			return errGarbled
		}
		if later := h.o.Hear(Message(f.data[0]), f.data[1:]); later != nil {
			h.mu.Lock()
			h.put(delivery{do: later})
			h.mu.Unlock()
		}
	case kindAnswer:
		h.mu.Lock()
		if q := h.asks[f.ticket]; q.to == p {
			q.answer <- f.data
			delete(h.asks, f.ticket)
		}
		h.mu.Unlock()
	default:
		return errGarbled
	}
	return nil
}

// retryAfter is for answers to clients that may try again soon.
var retryAfter = []byte("Retry-After: 1\r\n")

// refuse has the server answer, in the place of the application, or breaks the response off. h.mu is held.
func (h *Handler) refuse(c *call, status int, text string) {
	if c.begun {
		h.giveUp(c, exchange.Part{Last: true, Failed: true, File: -1})
		return
	}
	head := exchange.Head{Status: status, Reason: []byte(text), Refusal: true, Request: c.head}
	if status == 503 {
		head.Fields = retryAfter
	}
	h.giveUp(c, exchange.Part{First: true, Last: true, Head: head, File: -1})
}

// giveUp ends the response to c with p. h.mu is held.
func (h *Handler) giveUp(c *call, p exchange.Part) {
	h.forget(c)
	c.ended = true
	p.Ticket = c.ticket
	h.put(delivery{c: c, part: p})
}
