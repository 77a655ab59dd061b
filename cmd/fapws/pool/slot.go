package pool

import (
	"fmt"
	"os"
	"slices"
	"time"

	"fapws/runtime/logfile"
)

// Bounds of the pause before a worker that died soon after its start is replaced.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second

	// steady is the time that a worker must live to count as started.
	steady = 5 * time.Second
)

// slot is the place of one worker and of its successors.
type slot struct {
	pool    *Pool
	worker  *worker // serves, or nil
	next    *worker // is loading, to replace worker; or nil
	retry   *time.Timer
	asleep  bool // so is worker, and the one in its place
	backoff time.Duration
}

// cancel stops the timer of a replacement that has not been started yet.
func (s *slot) cancel() {
	if s.retry != nil {
		s.retry.Stop()
		s.retry = nil
	}
}

// replace starts, after wait, a worker that replaces the slot's worker.
func (s *slot) replace(wait time.Duration) {
	if s.next != nil || s.retry != nil {
		return
	}
	if wait > 0 {
		var t *time.Timer
		t = time.AfterFunc(wait, func() {
			s.pool.post(func() {
				if s.retry == t {
					s.retry = nil
					s.replace(0)
				}
			})
		})
		s.retry = t
		return
	}
	role := Eager
	if s.asleep {
		role = Asleep
	}
	w, err := s.pool.start(false, role)
	if err != nil {
		s.grow()
		s.pool.o.Log(logfile.Error, fmt.Sprintf("cannot start a worker: %v; the next try is in %v", err, s.backoff))
		s.replace(s.backoff)
		return
	}
	w.slot, s.next = s, w
	s.pool.share()
}

// grow doubles the pause before the next start, within its bounds.
func (s *slot) grow() { s.backoff = min(max(2*s.backoff, minBackoff), maxBackoff) }

// promote makes w, which has loaded, the serving worker of its slot.
func (p *Pool) promote(w *worker) {
	s := w.slot
	old := s.worker
	s.worker, s.next = w, nil
	w.setState(Serving)
	p.sendPage(w)
	p.share()
	if old != nil {
		old.retire(w)
		old.depart()
	}
}

// lost is called when a worker that has a slot has died.
func (p *Pool) lost(w *worker, was State, how string) {
	s := w.slot
	p.deaths++
	if time.Since(w.started) < steady || was == Starting {
		s.grow()
	} else {
		s.backoff = 0
	}
	after := "starting a new one"
	if s.backoff > 0 {
		after = fmt.Sprintf("starting a new one in %v", s.backoff)
	}
	switch w {
	case s.worker:
		s.worker = nil
		p.o.Log(logfile.Warning, w.ended(how, after))
		if s.next != nil {
			p.share()
			return // its replacement is loading
		}
	case s.next:
		s.next = nil
		p.o.Log(logfile.Error, w.ended(how+" before it could serve", after))
	}
	p.share()
	s.replace(s.backoff)
}

// recycle replaces w, after its successor has loaded.
func (p *Pool) recycle(w *worker, why string) {
	if w.state != Serving || w.slot == nil || w.slot.next != nil || w.slot.retry != nil {
		return
	}
	if w.sleep.loads && w.reason != "" {
		p.notAwake(w)
		return
	}
	p.recycled++
	p.o.Log(logfile.Info, fmt.Sprintf("replacing worker %d: %s", w.pid, why))
	w.slot.replace(0)
}

// resize adds by workers, or removes them if by is negative.
func (p *Pool) resize(by int) {
	if p.stopping {
		return
	}
	p.want = max(1, p.want+by)
	p.o.Log(logfile.Info, Count(p.want, "worker"))
	p.level()
}

// Count is "1 worker" or "2 workers".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// level adds or removes slots until there are p.want of them. While a generation is loading it does nothing; the end
// of the generation calls it.
func (p *Pool) level() {
	if p.batch != nil || p.first() || p.stopping || p.handing {
		return
	}
	for len(p.slots) < p.want {
		s := &slot{pool: p}
		p.slots = append(p.slots, s)
		s.replace(0)
	}
	gone := slices.Clone(p.slots[p.want:])
	p.slots = p.slots[:p.want]
	p.share() // before the others stop
	for _, s := range gone {
		s.cancel()
		if s.next != nil {
			s.next.end(Quit)
		}
		if s.worker != nil {
			s.worker.retire(p.anyServing())
			s.worker.depart()
		}
	}
}

// share sends the listening sockets to the serving workers that do not have them yet. All workers accept from each
// socket, so any free worker takes a waiting connection. While none serves, a worker that loads has them.
func (p *Pool) share() {
	serves := false
	var early, loads *worker
	for _, s := range p.slots {
		if w := s.worker; w != nil && w.state == Serving {
			serves = serves || !w.hung
			if !w.listens {
				w.listen(p.addresses)
			}
		}
		switch w := s.next; {
		case w == nil:
		case w.listens:
			early = w
		case loads == nil:
			loads = w
		}
	}
	switch {
	case serves && early != nil:
		early.unlisten()
	case !serves && early == nil && loads != nil:
		loads.listenEarly(p.addresses)
	}
}

// listenEarly sends w the sockets before it has loaded.
func (w *worker) listenEarly(addresses []Address) {
	w.listen(addresses)
	w.early = addresses
}

// unlisten takes them back. The clients that w has already wait until it has loaded.
func (w *worker) unlisten() {
	w.listens = false
	w.send(&Message{Kind: Listen, Text: Instead})
}

// listen sends w sockets, in the place of those that it may have.
func (w *worker) listen(addresses []Address) {
	text := ""
	if len(w.early) > 0 {
		text = Instead
	}
	w.listens = true
	for some := range slices.Chunk(addresses, maxFiles) {
		m := &Message{Kind: Listen, Text: text}
		var files []*os.File
		for _, a := range some {
			m.Addresses, files = append(m.Addresses, a.Name), append(files, a.Socket)
		}
		w.send(m, files...)
		text = ""
	}
}

// With Options.IdleStop, sleep is a reload into workers that have not loaded their application yet (Asleep). Each loads it when the first
// request needs it. Until then it serves as any other, so it is Serving, and its slot knows what its successor is to be.

// sleepState is what a worker has to do with that.
type sleepState struct {
	asleep bool // its application is not loaded
	loads  bool // but is being loaded
	unused bool // the application has been unused for IdleStop
}

// maybeSleep replaces all workers by ones that are asleep, if no application has been used for long enough. One that cannot be loaded again
// as far as is known stays.
func (p *Pool) maybeSleep() {
	if p.o.IdleStop == 0 || p.batch != nil || p.next != nil || p.first() || p.stopping || p.handing || p.failure != "" {
		return
	}
	for _, w := range p.workers {
		if w.state >= Retiring { // its WebSockets may be on their way to a worker that is awake
			return
		}
	}
	awake := false
	for _, s := range p.slots {
		w := s.worker
		if w == nil || w.state != Serving || s.next != nil || w.sleep.loads || !w.sleep.asleep && !w.sleep.unused {
			return
		}
		awake = awake || !w.sleep.asleep
	}
	if awake {
		p.begin(request{why: fmt.Sprintf("no request for %v: the application sleeps until there is one", p.o.IdleStop), sleep: true})
	}
}

// waking is called when w begins to load its application.
func (p *Pool) waking(w *worker) {
	if !w.sleep.asleep || w.sleep.loads {
		return
	}
	w.sleep.loads = true
	if w.state == Serving { // else it has a limit already
		w.within(p.o.LoadTimeout, fmt.Sprintf("did not load within %v", p.o.LoadTimeout))
	}
}

// awake is called when it has loaded.
func (p *Pool) awake(w *worker) {
	w.sleep = sleepState{}
	if w.state != Serving {
		return
	}
	w.limit.Stop()
	p.settled, w.slot.asleep = *w.settled, false
	if p.page == nil { // else browsers see that a reload has failed
		p.failure = ""
	}
	p.o.Log(logfile.Info, fmt.Sprintf("worker %d: the application is awake", w.pid))
}

// notAwake is called when w could not load. Its clients get the reason, and another one takes its place, which is asleep.
func (p *Pool) notAwake(w *worker) {
	p.failure = fmt.Sprintf("worker %d failed to load: %s", w.pid, w.reason)
	p.o.Log(logfile.Error, fmt.Sprintf("worker %d failed to load the application; the next request tries again", w.pid))
	if p.o.FailurePage != nil {
		w.send(&Message{Kind: Notice, Raw: p.o.FailurePage(p.failure, w.stderrCapture.tail())})
	}
	w.slot.replace(0)
}
