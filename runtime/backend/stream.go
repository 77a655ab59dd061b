package backend

import (
	"errors"
	"io"
	"sync"

	"fapws/runtime/exchange"
)

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
