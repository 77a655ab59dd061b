package runtime

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket/wstest"

	"golang.org/x/sys/unix"
)

// talk is a WebSocket as an application sees it.
type talk struct {
	app     *talkApp
	ticket  exchange.Ticket
	ended   bool // its Last part was made
	closed  bool // OpClose was delivered
	gone    bool // cancelled
	data    any
	head    string // of its request
	state   string // of exchange.Resumed
	started bool
}

// talkApp is an application that speaks with WebSockets, a Receiver. Its functions are
// called on the loop, and answer there or later, on any goroutine.
type talkApp struct {
	message   func(*talk, exchange.Op, []byte) // it takes what it is given at once
	ends      func(*talk)                      // nil: ends
	cancelled func(*talk)                      // in addition
	handOver  func(*talk) bool                 // lets go of it
	resumes   func(*talk)                      // before it is accepted
	waker     *eventloop.Waker

	mu    sync.Mutex
	talks map[exchange.Ticket]*talk
	parts []exchange.Part
	next  uintptr
	out   map[uintptr]bool // the parts that were not released
	log   []string
}

func newTalkApp() *talkApp {
	return &talkApp{talks: map[exchange.Ticket]*talk{}, out: map[uintptr]bool{}}
}

func (a *talkApp) Attach(w *eventloop.Waker, _ func(exchange.Origin) exchange.Subrequester) {
	a.waker = w
}

func (a *talkApp) Submit(r *exchange.Request) bool {
	if r.Spool >= 0 {
		unix.Close(r.Spool)
	}
	t := &talk{app: a, ticket: r.Ticket, head: string(r.Head)}
	a.mu.Lock()
	twice := a.talks[r.Ticket] != nil
	a.talks[r.Ticket] = t
	a.mu.Unlock()
	if twice {
		panic("a ticket is used twice at once")
	}
	if r.Resumed != nil {
		t.state = string(r.Resumed.Data)
		a.resumes(t)
	}
	t.accept()
	return true
}

func (a *talkApp) Deliver(in exchange.Input) {
	a.mu.Lock()
	t := a.talks[in.Ticket]
	if t == nil || t.gone || t.closed {
		a.mu.Unlock()
		panic("input for nobody")
	}
	if t.ended { // its last part is on its way to the loop
		a.mu.Unlock()
		return
	}
	if in.Op == exchange.OpClose {
		t.closed = true
		a.mu.Unlock()
		if a.ends != nil {
			a.ends(t)
		} else {
			t.end(false)
		}
		return
	}
	if in.Op == exchange.OpHandOver {
		a.mu.Unlock()
		if a.handOver(t) {
			t.part(exchange.Part{Last: true, Op: exchange.OpHandOver, Body: fmt.Append(nil, t.data), Head: exchange.Head{Request: []byte(t.head)}})
		} else {
			t.part(exchange.Part{Op: exchange.OpHandOver})
		}
		return
	}
	a.mu.Unlock()
	a.message(t, in.Op, in.Data)
	t.part(exchange.Part{Op: exchange.OpCredit, Credit: int64(len(in.Data)) + exchange.InputCost})
}

func (a *talkApp) Flush() {}

func (a *talkApp) Next(p *exchange.Part) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.parts) == 0 {
		return false
	}
	*p = a.parts[0]
	a.parts = a.parts[1:]
	return true
}

func (a *talkApp) Release(p *exchange.Part) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.out[p.Ref] { // on the loop this is logged as a bug
		panic("a part is released twice")
	}
	delete(a.out, p.Ref)
	if p.Last {
		delete(a.talks, p.Ticket)
	}
}

func (a *talkApp) Cancel(ticket exchange.Ticket, took time.Duration) {
	a.mu.Lock()
	t := a.talks[ticket]
	if took > 0 && (t == nil || t.gone) {
		a.mu.Unlock()
		return
	}
	if t == nil || t.gone {
		a.mu.Unlock()
		panic("cancelled twice, or after the end")
	}
	t.gone = true
	a.mu.Unlock()
	if a.cancelled != nil {
		a.cancelled(t)
	}
	t.end(false)
}

func (a *talkApp) Stalled() (exchange.Ticket, time.Duration) { return 0, 0 }
func (a *talkApp) Signalled()                                {}

// idle says whether all exchanges have ended and all parts were released.
func (a *talkApp) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.talks) == 0 && len(a.out) == 0
}

func (a *talkApp) note(line string) {
	a.mu.Lock()
	a.log = append(a.log, line)
	a.mu.Unlock()
}

func (a *talkApp) notes() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.log, "; ")
}

func (t *talk) part(p exchange.Part) {
	a := t.app
	p.Ticket, p.File = t.ticket, -1
	a.mu.Lock()
	if t.ended {
		a.mu.Unlock()
		return
	}
	if p.Op != exchange.OpCredit {
		p.First, t.started = !t.started, true
	}
	t.ended = p.Last
	a.next++
	p.Ref = a.next
	a.out[p.Ref] = true
	a.parts = append(a.parts, p)
	a.mu.Unlock()
	a.waker.Wake()
}

func (t *talk) accept() { t.part(exchange.Part{Head: exchange.Head{WebSocket: true}}) }

func (t *talk) send(op exchange.Op, data []byte) {
	t.part(exchange.Part{Op: op, Body: append([]byte(nil), data...)})
}

func (t *talk) end(failed bool) { t.part(exchange.Part{Last: true, Failed: failed}) }

// socket opens a WebSocket.
func (s *testServer) socket(t testing.TB) *wstest.Client {
	t.Helper()
	c, err := wstest.Dial(s.addr, "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn.Close() })
	return c
}
