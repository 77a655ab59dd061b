package remote

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/source/refusal"
)

// sleep is what a Handler knows of the process of the application. It is guarded by Handler.mu.
type sleep struct {
	current *process // nil: there is none, or not yet
	ending  *process // that was the current one before
	waking  bool     // one is being started
	closed  bool     // none is to be started any more
	changed bool     // nor here: the application has become another one

	waiting  []*call   // for one, in order
	since    time.Time // when the wait for one began
	failed   time.Time // when one could not be started last
	pause    time.Duration
	earliest time.Time   // when the next one may be started
	used     time.Time   // when the last exchange ended
	timer    *time.Timer // ends the current one if nothing needs it; nil: it was not needed yet
}

const (
	// failedFor is how long requests are refused after a failed start, so that each of them does not cause another one.
	failedFor = time.Second

	// steady is how long a process must live to count as started: else there is a pause before the next one.
	steady = 5 * time.Second

	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// Asleep reports whether there is no process because no request has needed one.
func (h *Handler) Asleep() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sleep.current == nil && !h.sleep.waking
}

// await has c wait for a process. h.mu is held.
func (h *Handler) await(c *call) {
	s := &h.sleep
	if s.changed {
		h.starting(c)
		return
	}
	if time.Since(s.failed) < failedFor {
		h.refuse(c, 503, failedToLoad)
		return
	}
	h.wake()
	s.waiting = append(s.waiting, c)
	patience := h.serving.StartWait
	if c.page {
		patience = min(patience, refusal.PageWait)
	}
	c.timer = time.AfterFunc(patience, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.to == nil && !c.ended {
			h.starting(c)
		}
	})
}

const failedToLoad = "the application failed to load"

// loadsPage reports whether a browser asks for a page, which it can ask for again.
func loadsPage(r *exchange.Request) bool {
	return string(r.Parsed.Method.In(r.Head)) == "GET" && !r.WebSocket && refusal.WantsHTML(r.Parsed, r.Head)
}

// starting answers c, for which there is no process in time. h.mu is held.
func (h *Handler) starting(c *call) {
	if !c.page {
		h.refuse(c, 503, "the application is starting")
		return
	}
	page := refusal.Starting(time.Since(h.sleep.since))
	head := exchange.Head{Status: page.Status, Length: int64(len(page.Body)), ContentType: page.Type, Fields: page.Fields}
	h.giveUp(c, exchange.Part{First: true, Last: true, Head: head, Body: page.Body, File: -1})
}

// forget has c wait no more. h.mu is held.
func (h *Handler) forget(c *call) {
	for _, f := range c.frames {
		closeFiles(f.files)
	}
	c.frames = nil
	if c.timer == nil {
		return
	}
	c.timer.Stop()
	c.timer = nil
	s := &h.sleep
	s.waiting = slices.DeleteFunc(s.waiting, func(other *call) bool { return other == c })
}

// Wake has a process started if there is none. It does not wait.
func (h *Handler) Wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wake()
	h.sleep.used = time.Now()
}

// Stay has the process end no earlier than if a request had ended now. It starts none.
func (h *Handler) Stay() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sleep.used = time.Now()
}

// wake starts a process, unless there is one or that is under way. h.mu is held.
func (h *Handler) wake() {
	s := &h.sleep
	if s.closed || s.changed || s.waking || s.current != nil {
		return
	}
	s.waking, s.since = true, time.Now()
	go h.start(s.ending, s.earliest)
}

// errChanged says that the application has become another one.
var errChanged = errors.New("the application has changed while it slept")

// start starts a process, after the one before has ended.
func (h *Handler) start(before *process, earliest time.Time) {
	if before != nil {
		<-before.exited
	}
	time.Sleep(time.Until(earliest))
	p, loaded, err := startProcess(&h.o, h.took, h.lost)
	if err == nil && !bytes.Equal(loaded, h.loaded) {
		err = errChanged
	}
	if err == nil {
		err = p.serve(h.serving.Text)
	}
	h.mu.Lock()
	s := &h.sleep
	s.waking = false
	if err == nil && !s.closed {
		if err = h.use(p); err == nil {
			h.mu.Unlock()
			return
		}
	}
	if err != nil && !s.closed && !errors.Is(err, errChanged) {
		h.o.Log(fmt.Sprintf("cannot load the application again: %v; the next request tries it once more", err))
	}
	s.failed, s.changed = time.Now(), errors.Is(err, errChanged)
	for _, c := range slices.Clone(s.waiting) {
		if s.changed {
			h.starting(c)
		} else {
			h.refuse(c, 503, failedToLoad)
		}
	}
	h.mu.Unlock()
	if p != nil {
		p.end(0, 0)
	}
	if errors.Is(err, errChanged) {
		h.o.Changed()
	}
}

// use makes p the current process. The error says that it has ended since it was ready: lost has been called too early to know
// of it. h.mu is held.
func (h *Handler) use(p *process) error {
	if err := p.ended(); err != nil {
		return err
	}
	s := &h.sleep
	s.current = p
	for _, m := range h.o.Greet() {
		p.link.send(frame{kind: kindMessage, data: m})
	}
	for _, c := range s.waiting {
		c.timer.Stop()
		c.timer, c.to = nil, p
		for _, f := range c.frames {
			p.link.send(f)
		}
		c.frames = nil
	}
	s.waiting = nil
	h.rest()
	return nil
}

// lost is called when p has ended.
func (h *Handler) lost(p *process) {
	h.mu.Lock()
	s := &h.sleep
	unwanted := s.current == p
	if unwanted {
		s.current = nil
		if s.pause = min(max(2*s.pause, minPause), maxPause); time.Since(p.began) > steady {
			s.pause = 0
		}
		s.earliest = time.Now().Add(s.pause)
	}
	lost := 0
	for _, c := range h.calls {
		if c.to == p && !c.ended {
			lost++
			h.refuse(c, 502, "the application ended before it answered")
		}
	}
	for number, q := range h.asks {
		if q.to == p {
			close(q.answer)
			delete(h.asks, number)
		}
	}
	h.mu.Unlock()
	if unwanted || lost > 0 {
		h.o.Lost(p.how, lost)
	}
}

// rest has the process end if nothing needs it for long enough. h.mu is held.
func (h *Handler) rest() {
	s := &h.sleep
	s.used = time.Now()
	if s.timer == nil && h.serving.IdleStop > 0 && s.current != nil {
		s.timer = time.AfterFunc(h.serving.IdleStop, h.look)
	}
}

// look ends the process, if nothing has needed it for long enough, or looks again later.
func (h *Handler) look() {
	h.mu.Lock()
	s := &h.sleep
	p := s.current
	if p == nil || s.closed {
		s.timer = nil
		h.mu.Unlock()
		return
	}
	if wait := h.serving.IdleStop - time.Since(s.used); wait > 0 || len(h.calls) > 0 {
		s.timer.Reset(max(wait, h.serving.IdleStop/8, time.Millisecond))
		h.mu.Unlock()
		return
	}
	s.timer = nil
	s.current, s.ending = nil, p
	h.mu.Unlock()
	p.end(0, h.serving.EndWithin)
	h.o.Asleep()
}

// Renew has the next request get another process. The current one finishes what it has.
func (h *Handler) Renew() {
	h.mu.Lock()
	s := &h.sleep
	p := s.current
	s.current = nil // the next one does not wait for its end, which may take as long as EndWithin
	h.mu.Unlock()
	if p != nil {
		go p.end(h.serving.Grace, h.serving.EndWithin)
	}
}

// Close ends the process, whose requests are not waited for, and starts no other one. It returns when it has ended, which it is made to after d.
func (h *Handler) Close(d time.Duration) {
	h.mu.Lock()
	s := &h.sleep
	p := s.current
	if p == nil {
		p = s.ending
	}
	s.closed, s.current = true, nil
	for _, c := range slices.Clone(s.waiting) {
		h.refuse(c, 503, "")
	}
	h.mu.Unlock()
	if p != nil {
		p.end(0, d)
	}
}
