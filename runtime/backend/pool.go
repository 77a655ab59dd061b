package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// Sends says which fields of a response have a file sent, as runtime.Config has directories for them.
type Sends struct {
	File  bool // X-Sendfile
	Accel bool // X-Accel-Redirect
}

// Pool runs responders, and bounds how many requests they have at the same time: one of them has three quarters of all at most, so that an upstream
// that hangs leaves places for others.
type Pool struct {
	// Sends is for responders that pass on the answers of programs and servers. It does not change while the server
	// serves.
	Sends Sends

	spoolFailed logfile.Seldom

	max    int
	log    func(line string)
	failed atomic.Int64 // responses that were not made: see Failed

	mu      sync.Mutex
	open    map[exchange.Ticket]*Request // from Submit to the Release of the last part
	running int                          // responders, of which max bounds the number
	spooled int64                        // bytes of the files of slow clients
}

// part is a piece of a response on its way to the loop.
type part struct {
	exchange.Part
	of   *Request
	cost int // counted in Request.unacked
}

// partCost is the memory of a part in addition to its bytes, about.
const partCost = 512

// New returns a Pool that answers at most max requests at the same time (more are 503). Responses that are complete, and wait for their
// clients, do not count. log gets lines for the operator, on any goroutine.
func New(max int, log func(line string)) *Pool {
	return &Pool{max: max, log: log, open: map[exchange.Ticket]*Request{}}
}

// Handler is the exchange.Handler of one Responder.
type Handler struct {
	*Pool
	to      Responder
	running int // of Pool.running; guarded by Pool.mu
}

// Handler returns what answers requests by r.
func (p *Pool) Handler(r Responder) *Handler { return &Handler{Pool: p, to: r} }

// Active returns the number of requests that responders have.
func (p *Pool) Active() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Failed returns how many responses an upstream or a program has not made, or not to the end: answers with 502 and 504, and those
// that break off. It is safe for concurrent use.
func (p *Pool) Failed() int64 { return p.failed.Load() }

// Submit implements exchange.Handler.
func (h *Handler) Submit(r *exchange.Request) bool {
	p := h.Pool
	if !h.enter() {
		if r.Spool >= 0 {
			unix.Close(r.Spool)
		}
		return false
	}
	q := &Request{Request: *r, Path: string(r.Path), pool: p, handler: h}
	parsed, peer := *r.Parsed, *r.Peer
	parsed.Fields = slices.Clone(parsed.Fields)
	q.Head, q.Request.Body, q.Parsed, q.Peer = bytes.Clone(r.Head), bytes.Clone(r.Body), &parsed, &peer
	q.Context, q.cancel = context.WithCancel(context.Background())
	q.changed.L = &p.mu
	switch {
	case r.More:
		q.stream = &stream{waiting: q.Request.Body}
	case r.Spool >= 0:
		q.spool = os.NewFile(uintptr(r.Spool), "request body")
	}
	p.mu.Lock()
	p.open[r.Ticket] = q
	p.mu.Unlock()
	go q.respond(h.to)
	return true
}

// enter takes a place for a request, if there is one.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Pool.running >= h.max || h.running >= h.max-h.max/4 {
		return false
	}
	h.Pool.running++
	h.running++
	return true
}

// leave gives the place back.
func (h *Handler) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Pool.running--
	h.running--
}

// respond has a responder answer r, and ends the response.
func (r *Request) respond(to Responder) {
	w := &Response{r: r}
	defer func() {
		if bug := recover(); bug != nil {
			r.pool.log(fmt.Sprintf("bug: %v in %s", bug, debug.Stack()))
			if w.sent {
				w.failed = true
			} else {
				w.started, w.buf = false, nil
				w.Refuse(500, "")
			}
		}
		if r.spool != nil {
			r.spool.Close()
		}
		r.handler.leave()
		w.end()
		r.cancel()
	}()
	if r.Context.Err() == nil { // else the response is not wanted any more
		to.Respond(w, r)
	}
}

// put gives the loop a part of the response.
func (r *Request) put(p *part) error {
	r.pool.mu.Lock()
	gone := r.gone && !p.Last
	if p.cost = partCost + len(p.Head.Fields) + len(p.Body); !gone {
		r.unacked += p.cost
	}
	r.pool.mu.Unlock()
	if gone {
		return ErrGone
	}
	p.of, p.Ticket, p.Ref, p.File = r, r.Ticket, p, -1
	r.Publish(&p.Part)
	return nil
}

// wait returns when the client has taken most of its response.
func (r *Request) wait() error {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	for r.unacked > unackedMax && !r.gone {
		r.changed.Wait()
	}
	if r.gone {
		return ErrGone
	}
	return nil
}

// Release implements exchange.Handler. It is safe for concurrent use.
func (p *Pool) Release(one *exchange.Part) {
	if one.Op == exchange.OpCredit {
		return
	}
	mine := one.Ref.(*part)
	r := mine.of
	p.mu.Lock()
	r.unacked -= mine.cost
	r.changed.Broadcast()
	if mine.Last {
		delete(p.open, r.Ticket)
	}
	p.mu.Unlock()
	if t := mine.Head.Tunnel; t != nil && t.Upstream != nil {
		unix.Close(t.Upstream.Fd()) // the loop has not taken it
	}
}

// Cancel implements exchange.Handler.
func (p *Pool) Cancel(t exchange.Ticket, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.open[t]; r != nil {
		r.gone = true
		r.changed.Broadcast()
		r.cancel()
		if took > 0 && r.overdue != nil {
			go r.overdue(took)
		}
	}
}

// stream is a body that arrives while its Responder works (Mount.Streams of package exchange). Its fields are guarded by Pool.mu,
// but for spare, which is the Responder's.
type stream struct {
	waiting []byte // bytes that have arrived and were not taken
	spare   []byte // memory of the piece that was taken last
	due     int64  // credit for waiting
	last    bool   // nothing more comes
	asked   bool   // the client may send
	stopped bool   // Interrupt was called
}

// Next returns the next piece of the body of a request whose mount streams: it may arrive while Respond runs. The piece is valid until the next call. The first call asks
// the client for the body if it waits for 100 Continue: a Responder that refuses before it has the connection closed
// instead. Memory for a body is bounded, because the client is stopped while pieces wait.
//
// The error is io.EOF behind the last piece, ErrGone if the client disconnects before that, and ErrInterrupted after Interrupt. Next must be called on the goroutine of
// Respond.
func (r *Request) Next() ([]byte, error) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if r.stream == nil { // it was here with its head
		r.stream = &stream{waiting: r.Request.Body, last: true, asked: true}
	}
	s := r.stream
	if !s.asked {
		s.asked = true
		r.credit(0)
	}
	for len(s.waiting) == 0 && !s.last && !s.stopped && !r.gone {
		r.changed.Wait()
	}
	if len(s.waiting) > 0 { // also of a client that has left: a Responder may keep it
		piece := s.waiting
		s.waiting, s.spare = s.spare[:0], piece
		r.credit(s.due)
		s.due = 0
		return piece, nil
	}
	switch {
	case s.last:
		return nil, io.EOF
	case s.stopped && !r.gone:
		return nil, ErrInterrupted
	}
	return nil, ErrGone
}

// ErrInterrupted is the error of Next after Interrupt.
var ErrInterrupted = errors.New("the request was interrupted")

// Interrupt has Next return when it has no piece. It may be called on any goroutine until Respond has returned.
func (r *Request) Interrupt() {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if s := r.stream; s != nil {
		s.stopped = true
		r.changed.Broadcast()
	}
}

// credit has the loop take n more bytes of input.
func (r *Request) credit(n int64) {
	r.Publish(&exchange.Part{Ticket: r.Ticket, Op: exchange.OpCredit, Credit: n, File: -1})
}

// Deliver implements exchange.Handler.
func (p *Pool) Deliver(in exchange.Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.open[in.Ticket]; r != nil && r.stream != nil && in.Op == exchange.OpBody {
		s := r.stream
		s.waiting = append(s.waiting, in.Data...)
		s.due += int64(len(in.Data)) + exchange.InputCost
		s.last = s.last || in.Last
		r.changed.Broadcast()
	}
}
