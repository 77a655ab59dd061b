package remote

import (
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/system"
)

// Application is a handler of package app, as a Service needs it. *pybridge.Handler implements it.
type Application interface {
	Attach(*exchange.Waker)
	Submit(*exchange.Request) bool
	Deliver(exchange.Input)
	Flush()
	Next(*exchange.Part) bool
	Release(*exchange.Part)
	Cancel(exchange.Ticket)
	Overdue(exchange.Ticket, time.Duration)
	Stalled() (exchange.Ticket, time.Duration)
	Signalled()
}

// Service is the server, as the process of an application sees it.
type Service struct {
	link   *link
	serve  chan []byte
	gone   chan struct{} // closed when the link has ended
	events *eventloop.Loop

	// Hear takes a message of the server, on the event loop, and Answer a question, on a goroutine. They are set before Run.
	Hear   func(m Message, data []byte, files []int)
	Answer func(question []byte) []byte

	h      Application
	limits http1.Limits
	parsed http1.Request // scratch

	// state is held by the event loop except during Flush, when a handler may run there.
	state   sync.Mutex
	running bool // Flush is on the stack
	flights map[exchange.Ticket]*flight
	part    exchange.Part
	ending  bool // no request follows
	overran bool // those that are left are not waited for
	ended   bool

	mu     sync.Mutex
	inbox  []frame
	closed bool // nothing follows in inbox
}

// flight is an exchange that the application has.
type flight struct {
	unseen int64 // bytes that were sent and not taken by the client
	parts  []exchange.Part
	off    int // of the first part: what was sent
}

// NewService returns the server at a descriptor. It must be called early in the life of a process.
func NewService(fd int) (*Service, error) {
	unix.CloseOnExec(fd)
	l, err := newLink(fd)
	if err != nil {
		return nil, err
	}
	s := &Service{link: l, serve: make(chan []byte, 1), gone: make(chan struct{}), flights: map[exchange.Ticket]*flight{}}
	if s.events, err = eventloop.New(); err != nil {
		return nil, err
	}
	go s.listen()
	return s, nil
}

// listen reads what the server sends, until its end.
func (s *Service) listen() {
	_ = s.link.read(func(f frame) error {
		switch f.kind {
		case kindServe:
			s.serve <- f.data
		case kindAsk:
			go func() { s.link.send(frame{kind: kindAnswer, ticket: f.ticket, data: s.Answer(f.data)}) }()
		default:
			s.mu.Lock()
			s.inbox = append(s.inbox, f)
			s.mu.Unlock()
			w := s.events.Waker()
			w.Wake()
		}
		return nil
	})
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.gone)
	w := s.events.Waker()
	w.Wake()
}

// Loaded describes what was loaded, and returns when the server wants it to be served, with its settings. io.EOF: it does not.
func (s *Service) Loaded(text []byte) (settings []byte, err error) {
	s.link.send(frame{kind: kindLoaded, data: text})
	select {
	case settings = <-s.serve:
		return settings, nil
	case <-s.gone:
		return nil, io.EOF
	}
}

// Gone is closed when the server has ended, or wants nothing of this process any more.
func (s *Service) Gone() <-chan struct{} { return s.gone }

// Tell sends a message to the server. It does not wait. It is safe for concurrent use.
func (s *Service) Tell(m Message, data []byte) {
	s.link.send(frame{kind: kindMessage, data: append([]byte{byte(m)}, data...)})
}

// Close closes the link when everything was sent, and returns then.
func (s *Service) Close() {
	s.link.finish()
	<-s.gone
}

// SyscallConn implements syscall.Conn: children of the application must close the link.
func (s *Service) SyscallConn() (syscall.RawConn, error) { return s.link.conn.SyscallConn() }

// watchEvery is how often a handler that runs on the event loop is looked at.
const watchEvery = 500 * time.Millisecond

// Run has h answer requests until the server wants no more, and h has finished those that it has. It runs the event loop on the
// calling goroutine: on a thread that is locked to it, if handlers are bound to a thread. limits are those of requests.
func (s *Service) Run(h Application, limits http1.Limits) error {
	signals, err := system.SocketpairNonblock()
	if err != nil {
		return err
	}
	s.h, s.limits = h, limits
	w := s.events.Waker()
	w.Signals, w.SendNow = signals[1], s.sendNow
	if err := s.events.Add(&eventloop.Watch{}, signals[0], &signalReader{s, signals[0]}); err != nil {
		return err
	}
	s.events.AtEndOfBatch(func(bool) { s.turn() })
	s.state.Lock()
	defer s.state.Unlock()
	h.Attach(&w)
	stop := make(chan struct{})
	defer close(stop)
	go s.watch(stop)
	s.link.send(frame{kind: kindReady})
	s.events.Post(func() {}) // what has come already
	return s.events.Run()
}

// signalReader reads what handlers say of signals.
type signalReader struct {
	s  *Service
	fd int
}

// Ready implements eventloop.Handler.
func (r *signalReader) Ready(eventloop.Readiness) {
	var b [64]byte
	for {
		n, err := unix.Read(r.fd, b[:])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		for _, one := range b[:n] {
			if one != 0 {
				r.s.h.Signalled()
			}
		}
	}
}

// turn passes on what has come, and sends what was made.
func (s *Service) turn() {
	s.mu.Lock()
	inbox, closed := s.inbox, s.closed
	s.inbox = nil
	s.mu.Unlock()
	for i := range inbox {
		s.take(&inbox[i])
	}
	s.running = true
	s.state.Unlock()
	s.h.Flush()
	s.state.Lock()
	s.running = false
	s.collect()
	if !s.ended && (closed || s.ending && (s.overran || len(s.flights) == 0)) {
		s.ended = true
		s.events.Stop()
	}
}

// take takes a frame of the server.
func (s *Service) take(f *frame) {
	switch f.kind {
	case kindRequest:
		s.flights[f.ticket] = &flight{}
		r, err := decodeRequest(f, &s.parsed, &s.limits)
		if err != nil || !s.h.Submit(r) {
			delete(s.flights, f.ticket)
			s.link.send(frame{kind: kindRefused, ticket: f.ticket})
		}
		if err != nil {
			closeFiles(f.files)
		}
	case kindInput:
		if in, err := decodeInput(f); err == nil && s.flights[f.ticket] != nil {
			s.h.Deliver(in)
		}
	case kindCancel:
		if s.flights[f.ticket] != nil {
			s.h.Cancel(f.ticket)
		}
	case kindOverdue:
		if s.flights[f.ticket] != nil {
			s.h.Overdue(f.ticket, f.duration())
		}
	case kindSeen:
		if to := s.flights[f.ticket]; to != nil {
			to.unseen -= f.number()
			s.push(f.ticket, to)
		}
	case kindEnd:
		s.ending = true
		time.AfterFunc(f.duration(), func() { s.events.Post(func() { s.overran = true }) })
	case kindMessage:
		if len(f.data) > 0 {
			s.Hear(Message(f.data[0]), f.data[1:], f.files)
		}
	}
}

// collect sends what the handler has made.
func (s *Service) collect() {
	for s.h.Next(&s.part) {
		p := s.part
		if p.Op == exchange.OpCredit { // does not wait for room
			f, _, _ := encodePart(&p, 0)
			s.link.send(f)
			s.h.Release(&p)
			continue
		}
		to := s.flights[p.Ticket]
		to.parts = append(to.parts, p)
		s.push(p.Ticket, to)
	}
}

// sendNow is exchange.Waker.SendNow.
func (s *Service) sendNow() {
	if !s.running {
		return
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.collect()
}

// push sends parts of an exchange, as far as there is room for them.
func (s *Service) push(t exchange.Ticket, to *flight) {
	for len(to.parts) > 0 && to.unseen < window {
		p := &to.parts[0]
		f, size, rest := encodePart(p, to.off)
		if duplicate(f.files) != nil { // there are too many open files
			without := *p
			without.File, without.Failed = -1, p.Last
			f, size, rest = encodePart(&without, to.off)
		}
		to.unseen += int64(size)
		s.link.send(f)
		if rest {
			to.off += piece
			continue
		}
		if p.Last {
			delete(s.flights, t)
		}
		s.h.Release(p)
		to.parts, to.off = to.parts[1:], 0
	}
}

// duplicate makes duplicates of descriptors, which the link closes.
func duplicate(files []int) error {
	for i, fd := range files {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			closeFiles(files[:i])
			return err
		}
		files[i] = own
	}
	return nil
}

// watch looks after a handler that runs on the event loop, and takes what is overdue in the place of that.
func (s *Service) watch(stop <-chan struct{}) {
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for {
		select {
		case <-stop:
			return
		case <-every.C:
		}
		if !s.state.TryLock() {
			continue // the loop does its own work, or sleeps
		}
		if s.running {
			s.h.Stalled()
			for _, f := range s.overdue() {
				if s.flights[f.ticket] != nil {
					s.h.Cancel(f.ticket)
					s.h.Overdue(f.ticket, f.duration())
				}
			}
		}
		s.state.Unlock()
	}
}

// overdue returns the frames about exchanges that take too long, and removes them.
func (s *Service) overdue() (list []frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.inbox[:0]
	for _, f := range s.inbox {
		if f.kind == kindOverdue {
			list = append(list, f)
		} else {
			rest = append(rest, f)
		}
	}
	s.inbox = rest
	return list
}
