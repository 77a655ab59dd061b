package backend

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// Each function in Sends continues a response that has a certain header field. A function may be nil.
type Sends struct {
	File      exchange.Continuation // for a response with X-Sendfile
	Accel     exchange.Continuation // for a response with X-Accel-Redirect
	Subscribe exchange.Continuation // for a response with Fapws-Channel
}

// Pool runs responders and limits the number of requests that they handle at the same time. Each responder can use at
// most three quarters of the limit, so that a hanging upstream leaves room for other responders.
type Pool struct {
	// Sends is for responders that forward the responses of programs or upstreams. It must not change while the server
	// runs.
	Sends Sends

	Space  *Space // for responses to slow clients
	faults logfile.Faults

	max    int
	log    func(line string)
	failed atomic.Int64

	mu      sync.Mutex
	open    map[exchange.Ticket]*Request
	running int
}

type part struct {
	exchange.Part
	of   *Request
	cost int
}

const partCost = 512 // memory for a part without its data, in bytes

// New returns a Pool that runs at most max requests at a time, and responds with status 503 to requests beyond this
// limit. Complete responses that wait to be sent to their clients do not count. log is called with lines for the
// operator on any goroutine.
func New(max int, log func(line string)) *Pool {
	return &Pool{max: max, log: log, open: map[exchange.Ticket]*Request{}, Space: &Space{Log: log}}
}

type Handler struct {
	*Pool
	to      Responder
	running int
}

func (p *Pool) Handler(r Responder) *Handler { return &Handler{Pool: p, to: r} }

func (p *Pool) Active() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Failed returns the number of responses that have failed because of an upstream or a program. These are aborted
// responses, responses with status 502 or 504, and responses with status 503 because all upstreams have failed. Failed
// is safe for concurrent use.
func (p *Pool) Failed() int64 { return p.failed.Load() }

func (h *Handler) Submit(t exchange.Ticket, r *exchange.Request) bool {
	p := h.Pool
	if !h.enter() {
		if r.Spool >= 0 {
			unix.Close(r.Spool)
		}
		return false
	}
	q := &Request{Request: r.Clone(), Path: string(r.Path), ticket: t, pool: p, handler: h}
	q.Context, q.cancel = context.WithCancel(context.Background())
	q.changed.L, q.began = &p.mu, time.Now()
	switch {
	case r.More:
		q.stream = &stream{waiting: q.Request.Body}
	case r.Spool >= 0:
		q.spool = os.NewFile(uintptr(r.Spool), "request body")
	}
	p.mu.Lock()
	p.open[t] = q
	p.mu.Unlock()
	go q.respond(h.to)
	return true
}

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

func (h *Handler) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Pool.running--
	h.running--
}

func (r *Request) respond(to Responder) {
	w := &ResponseWriter{r: r}
	defer func() {
		if bug := recover(); bug != nil {
			r.pool.faults.Log(bug, func(line string) { r.pool.log("bug: " + line) })
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
	if r.Context.Err() == nil { // check that a client still needs the response
		to.Respond(w, r)
	}
}

func (r *Request) put(p *part) error {
	p.cost = partCost + len(p.Head.Fields) + len(p.Body)
	if !r.charge(p.cost, p.Last()) {
		return ErrGone
	}
	if t := r.Services.Times; t != nil && (p.First || p.Last()) {
		t.Upstream.Store(int64(time.Since(r.began)))
	}
	p.of, p.Ref = r, p
	r.Services.Publish(r.ticket, &p.Part)
	return nil
}

// charge counts the cost of a part. It returns false if the client has gone and the part is not the last.
func (r *Request) charge(cost int, last bool) bool {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if r.gone && !last {
		return false
	}
	r.unacked += cost
	return true
}

func (r *Request) wait() error {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	for r.unacked > unackedMax && !r.gone {
		r.changed.Wait()
	}
	return goneError(r)
}

// Release is safe for concurrent use.
func (p *Pool) Release(one *exchange.Part) {
	if one.Op == exchange.OpCredit {
		return
	}
	mine := one.Ref.(*part)
	mine.of.settle(mine.cost, mine.Last())
}

// settle is called when the loop has handled a part.
func (r *Request) settle(cost int, last bool) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.unacked -= cost
	r.changed.Broadcast()
	if last {
		delete(r.pool.open, r.ticket)
	}
}

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

// A stream is a request body that arrives while the Responder runs (exchange.Mount.Streams). The fields are guarded by
// Pool.mu, except spare, which belongs to the Responder's goroutine.
type stream struct {
	waiting []byte
	spare   []byte // buffer of the last piece that Next has returned, to be reused
	due     int64  // memory of the data in waiting, in bytes; released with an OpCredit when the data was read
	last    bool
	// the first OpCredit was sent, which requests the body from the client (100 Continue)
	asked   bool
	stopped bool
}

// Next returns the next piece of the request body, and waits until it arrives. The piece is valid until the next call.
// If the client waits for 100 Continue, the first call requests the body. If the Responder rejects the request without
// calling Next, the connection is closed. To limit memory, the server does not read from the client while pieces wait
// for Next.
//
// The error is io.EOF after the last piece, ErrGone if the client disconnects earlier, and ErrInterrupted after
// Interrupt. Next must be called on the goroutine of Respond.
func (r *Request) Next() ([]byte, error) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if r.stream == nil { // the body has arrived with the head
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
	// Return waiting data even if the client has disconnected, because the Responder may store it.
	if len(s.waiting) > 0 {
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

var ErrInterrupted = errors.New("the request was interrupted")

// Interrupt makes Next return ErrInterrupted instead of waiting for data. Interrupt may be called on any goroutine
// until Respond returns.
func (r *Request) Interrupt() {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if s := r.stream; s != nil {
		s.stopped = true
		r.changed.Broadcast()
	}
}

func (r *Request) credit(n int64) {
	r.Services.Publish(r.ticket, &exchange.Part{Op: exchange.OpCredit, Number: n})
}

func (p *Pool) Deliver(input exchange.Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.open[input.Ticket]
	switch {
	case r == nil:
	case input.Op == exchange.OpClose:
		r.closed = true
		r.reportClose()
	case input.Op == exchange.OpBody && r.stream != nil:
		s := r.stream
		s.waiting = append(s.waiting, input.Data...)
		s.due += int64(len(input.Data)) + exchange.InputCost
		s.last = s.last || input.Last
		r.changed.Broadcast()
	}
}
