package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Sends says which fields of a response have a file sent, as runtime.Config has folders for them.
type Sends struct {
	File  bool // X-Sendfile
	Accel bool // X-Accel-Redirect
}

// Pool is an app.Handler of responders: a mount's Index says which.
type Pool struct {
	// Sends is for responders that pass on the answers of programs and servers. It does not change while the server
	// serves.
	Sends Sends

	responders []Responder
	max        int
	log        func(line string)
	failed     atomic.Int64 // responses that were not made: see Failed

	waker *eventloop.Waker // of our own
	ask   func(exchange.Origin) exchange.Subrequester

	fresh []*exchangeState // submitted, not flushed; the loop's

	mu     sync.Mutex
	open   map[exchange.Ticket]*exchangeState
	ready  []*part
	woken  bool // a byte is on its way to the loop
	parts  map[uintptr]*part
	lastID uintptr
	taken  []*part // of ready, by Next; the loop's

	credits   []*exchangeState // that have dealt with input
	crediting []*exchangeState // of credits, by Next; the loop's
}

// exchangeState is an exchange from Submit to the Release of its last part.
type exchangeState struct {
	pool    *Pool
	ticket  exchange.Ticket
	request Request
	to      Responder
	cancel  context.CancelFunc

	// These are guarded by Pool.mu.
	room    *sync.Cond
	unacked int64
	gone    bool
	overdue func(time.Duration) // see Request.OnOverdue; may be nil

	stream   *stream // of a body that arrives; nil: it is here
	credit   int64   // for input that was dealt with
	credited bool    // it is in Pool.credits
	asking   *asking // of Ask; nil: it is not under way
}

// part is a piece of a response on its way to the loop.
type part struct {
	exchange.Part // but for Ticket, File and Ref, which Next sets
	ex            *exchangeState
	file          *os.File
}

func (p *part) size() int64 { return int64(len(p.Body)) + p.Count }

// New returns a Pool that answers at most max requests at the same time (more are 503). log gets lines for the
// operator, on any goroutine.
func New(max int, log func(line string)) *Pool {
	return &Pool{
		max:   max,
		log:   log,
		open:  map[exchange.Ticket]*exchangeState{},
		parts: map[uintptr]*part{},
	}
}

// Add registers a Responder and returns the Index for its mounts. Call it
// before the server serves.
func (p *Pool) Add(r Responder) int {
	p.responders = append(p.responders, r)
	return len(p.responders) - 1
}

// Active returns the number of requests that responders have.
func (p *Pool) Active() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Failed returns how many responses an upstream or a program has not made, or not to the end: answers with 502 and 504, and those
// that break off. It is safe for concurrent use.
func (p *Pool) Failed() int64 { return p.failed.Load() }

// Attach implements app.Handler.
//
// The Pool takes duplicates of the descriptors: responders may outlive the server, and
// the numbers of its descriptors be other files' then.
func (p *Pool) Attach(w *eventloop.Waker, ask func(exchange.Origin) exchange.Subrequester) {
	p.ask = ask
	own, err := w.Duplicate()
	if err != nil {
		p.log(fmt.Sprintf("responders have no descriptors of their own: %v", err))
		own = w
	}
	p.waker = own
}

// Submit implements app.Handler.
func (p *Pool) Submit(r *exchange.Request) bool {
	p.mu.Lock()
	full := len(p.open) >= p.max
	p.mu.Unlock()
	if full {
		if r.Spool >= 0 {
			unix.Close(r.Spool)
		}
		return false
	}
	head := bytes.Clone(r.Head)
	parsed := *r.Parsed
	parsed.Fields = append([]http1.Field(nil), parsed.Fields...)
	ex := &exchangeState{pool: p, ticket: r.Ticket, to: p.responders[r.Mount]}
	ex.room = sync.NewCond(&p.mu)
	ctx, cancel := context.WithCancel(context.Background())
	ex.cancel = cancel
	ex.request = Request{
		Context: ctx,
		Head:    head,
		Parsed:  &parsed,
		Path:    string(r.Path),
		Root:    r.Root,
		Script:  r.Script,
		Size:    r.Size,
		Peer:    *r.Peer,
		Traced:  r.Traced,
		Options: r.Options,
		Log:     r.ErrorLog,
		Depth:   r.Depth,
		Tunnel:  r.WebSocket,
		Value:   r.Value,
		pool:    p,
		state:   ex,
	}
	switch {
	case r.More:
		ex.stream = &stream{waiting: bytes.Clone(r.Body)}
		ex.stream.arrived.L = &p.mu
	case r.Spool >= 0:
		ex.request.spool = os.NewFile(uintptr(r.Spool), "request body")
	default:
		ex.request.body = bytes.Clone(r.Body)
	}
	p.mu.Lock()
	p.open[r.Ticket] = ex
	p.mu.Unlock()
	p.fresh = append(p.fresh, ex)
	return true
}

// Flush implements app.Handler.
func (p *Pool) Flush() {
	for i, ex := range p.fresh {
		p.fresh[i] = nil
		go p.run(ex)
	}
	p.fresh = p.fresh[:0]
}

func (p *Pool) run(ex *exchangeState) {
	w := &Response{pool: p, ex: ex}
	defer func() {
		if bug := recover(); bug != nil {
			p.log(fmt.Sprintf("bug: %v in %s", bug, debug.Stack()))
			if w.sent {
				w.failed = true
			} else {
				w.started, w.buf = false, nil
				w.Refuse(500, "")
			}
		}
		if ex.request.spool != nil {
			ex.request.spool.Close()
		}
		if ex.request.inner != nil {
			ex.request.inner.Close()
		}
		w.end()
		ex.cancel()
	}()
	if ex.request.Context.Err() == nil { // else the response is not wanted any more
		ex.to.Respond(w, &ex.request)
	}
}

// put gives a part to the loop.
func (p *Pool) put(ex *exchangeState, one *part) error {
	one.ex = ex
	p.mu.Lock()
	if ex.gone && !one.Last && one.Op != exchange.OpAsk {
		p.mu.Unlock()
		if one.file != nil {
			one.file.Close()
		}
		return ErrGone
	}
	ex.unacked += one.size()
	p.ready = append(p.ready, one)
	wake := !p.woken
	p.woken = true
	p.mu.Unlock()
	if wake {
		p.waker.Wake()
	}
	return nil
}

// wait returns when the client has taken most of its response.
func (p *Pool) wait(ex *exchangeState) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ex.unacked > unackedMax && !ex.gone {
		ex.room.Wait()
	}
	if ex.gone {
		return ErrGone
	}
	return nil
}

// Next implements app.Handler.
func (p *Pool) Next(out *exchange.Part) bool {
	if len(p.taken)+len(p.crediting) == 0 {
		p.mu.Lock()
		p.taken, p.ready = p.ready, p.taken[:0]
		p.crediting, p.credits = p.credits, p.crediting
		p.woken = false
		p.mu.Unlock()
	}
	if p.nextCredit(out) { // before the last part of its exchange
		return true
	}
	if len(p.taken) == 0 {
		return false
	}
	one := p.taken[0]
	p.taken[0] = nil
	p.taken = p.taken[1:]
	p.mu.Lock()
	p.lastID++
	id := p.lastID
	p.parts[id] = one
	p.mu.Unlock()
	*out = one.Part
	out.Ticket, out.File, out.Ref = one.ex.ticket, -1, id
	if one.file != nil {
		out.File = int(one.file.Fd())
	}
	if one.First {
		out.Head.Request, out.Head.Parsed = one.ex.request.Head, one.ex.request.Parsed
	}
	return true
}

// Release implements app.Handler. Any goroutine.
func (p *Pool) Release(one *exchange.Part) {
	if one.Op == exchange.OpCredit {
		return
	}
	p.mu.Lock()
	mine := p.parts[one.Ref]
	delete(p.parts, one.Ref)
	ex := mine.ex
	ex.unacked -= mine.size()
	ex.room.Signal()
	if mine.Last {
		delete(p.open, ex.ticket)
	}
	p.mu.Unlock()
	if mine.file != nil {
		mine.file.Close()
	}
	if t := mine.Head.Tunnel; t != nil && t.Upstream != nil {
		unix.Close(t.Upstream.Fd()) // the loop has not taken it
	}
}

// Cancel implements app.Handler.
func (p *Pool) Cancel(t exchange.Ticket, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ex := p.open[t]; ex != nil {
		ex.gone = true
		ex.room.Signal()
		if ex.stream != nil {
			ex.stream.arrived.Signal()
		}
		ex.cancel()
		if took > 0 && ex.overdue != nil {
			go ex.overdue(took)
		}
	}
}

// stream is a body that arrives while its Responder works (Mount.Streams of package sites). Its fields are guarded by Pool.mu,
// but for spare, which is the Responder's.
type stream struct {
	arrived sync.Cond
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
	p, ex := r.pool, r.state
	p.mu.Lock()
	defer p.mu.Unlock()
	if ex.stream == nil { // it was here with its head
		ex.stream = &stream{waiting: r.body, last: true, asked: true}
	}
	s := ex.stream
	if !s.asked {
		s.asked = true
		p.credit(ex, 0)
	}
	for len(s.waiting) == 0 && !s.last && !s.stopped && !ex.gone {
		s.arrived.Wait()
	}
	if len(s.waiting) > 0 { // also of a client that has left: a Responder may keep it
		piece := s.waiting
		s.waiting, s.spare = s.spare[:0], piece
		p.credit(ex, s.due)
		s.due = 0
		return piece, nil
	}
	switch {
	case s.last:
		return nil, io.EOF
	case s.stopped && !ex.gone:
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
	if s := r.state.stream; s != nil {
		s.stopped = true
		s.arrived.Signal()
	}
}

// credit has the loop take n more bytes of input for ex. The mutex is held.
func (p *Pool) credit(ex *exchangeState, n int64) {
	if !ex.credited {
		ex.credited = true
		p.credits = append(p.credits, ex)
	}
	ex.credit += n
	if !p.woken {
		p.woken = true
		p.waker.Wake()
	}
}

// nextCredit makes the part that gives credit for an exchange; false: none is due.
func (p *Pool) nextCredit(out *exchange.Part) bool {
	n := len(p.crediting)
	if n == 0 {
		return false
	}
	ex := p.crediting[n-1]
	p.crediting[n-1] = nil
	p.crediting = p.crediting[:n-1]
	p.mu.Lock()
	*out = exchange.Part{Ticket: ex.ticket, Op: exchange.OpCredit, Credit: ex.credit, File: -1}
	ex.credit, ex.credited = 0, false
	p.mu.Unlock()
	return true
}

// Deliver implements app.Receiver.
func (p *Pool) Deliver(in exchange.Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ex := p.open[in.Ticket]
	if ex != nil && in.Op == exchange.OpAsk {
		ex.asking.end(in)
		return
	}
	if ex == nil || ex.stream == nil || in.Op != exchange.OpBody {
		return
	}
	s := ex.stream
	s.waiting = append(s.waiting, in.Data...)
	s.due += int64(len(in.Data)) + exchange.InputCost
	s.last = s.last || in.Last
	s.arrived.Signal()
}
