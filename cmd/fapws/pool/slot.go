package pool

import (
	"fmt"
	"os"
	"slices"
	"time"

	"fapws/runtime/loglevel"
)

// How long a worker's place stays empty when it dies soon after its start.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second

	// steady is how long a worker has to live to count as started.
	steady = 5 * time.Second
)

// slot is the place of a worker: workers come and go, it keeps its sockets.
type slot struct {
	s       *Pool
	worker  *worker // that serves here, or nil
	next    *worker // that is being loaded to take its place
	retry   *time.Timer
	backoff time.Duration
}

// workers returns those that belong to the slot.
func (p *slot) workers() (list []*worker) {
	for _, w := range []*worker{p.worker, p.next} {
		if w != nil {
			list = append(list, w)
		}
	}
	return list
}

// cancel gives up a replacement that has not been started yet.
func (p *slot) cancel() {
	if p.retry != nil {
		p.retry.Stop()
		p.retry = nil
	}
}

// replace starts a worker that will take the place of the slot's, after wait.
func (p *slot) replace(wait time.Duration) {
	if p.next != nil || p.retry != nil {
		return
	}
	if wait > 0 {
		var t *time.Timer
		t = time.AfterFunc(wait, func() {
			p.s.post(func() {
				if p.retry == t {
					p.retry = nil
					p.replace(0)
				}
			})
		})
		p.retry = t
		return
	}
	w, err := p.s.start(self)
	if err != nil {
		p.grow()
		p.s.o.Log(loglevel.Error, fmt.Sprintf("cannot start a worker: %v; the next try is in %v", err, p.backoff))
		p.replace(p.backoff)
		return
	}
	w.slot, p.next = p, w
}

// grow makes the next wait longer.
func (p *slot) grow() { p.backoff = min(max(2*p.backoff, minBackoff), maxBackoff) }

// succeed puts w, which has loaded, in the place it was started for.
func (s *Pool) succeed(w *worker) {
	p := w.slot
	old := p.worker
	p.worker, p.next = w, nil
	w.setState(Serving)
	s.sendPage(w)
	s.share()
	if old != nil {
		old.retire(w)
		old.depart()
	}
}

// lost is called when a worker that has a slot has died.
func (s *Pool) lost(w *worker, was State, how string) {
	p := w.slot
	if time.Since(w.started) < steady || was == Starting {
		p.grow()
	} else {
		p.backoff = 0
	}
	after := "a new one is started"
	if p.backoff > 0 {
		after = fmt.Sprintf("a new one is started in %v", p.backoff)
	}
	switch w {
	case p.worker:
		p.worker = nil
		s.share()
		s.o.Log(loglevel.Warning, w.ended(how, after))
		if p.next != nil {
			return // it is on its way
		}
	case p.next:
		p.next = nil
		s.o.Log(loglevel.Error, w.ended(how+" before it could serve", after))
	}
	p.replace(p.backoff)
}

// worn is called when w should be replaced: its successor is loaded first.
func (s *Pool) worn(w *worker, why string) {
	if w.state != Serving || w.slot == nil || w.slot.next != nil || w.slot.retry != nil {
		return
	}
	s.o.Log(loglevel.Info, fmt.Sprintf("worker %d %s: it is replaced", w.pid, why))
	w.slot.replace(0)
}

// resize changes the number of workers.
func (s *Pool) resize(by int) {
	if s.stopping {
		return
	}
	s.want = max(1, s.want+by)
	s.o.Log(loglevel.Info, Count(s.want, "worker"))
	s.level()
}

// Count is "1 worker" or "2 workers".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// level makes as many slots as are wanted. While a generation is being loaded
// it waits for its end.
func (s *Pool) level() {
	if s.batch != nil || s.first() || s.stopping || s.handing {
		return
	}
	for len(s.slots) < s.want {
		p := &slot{s: s}
		s.slots = append(s.slots, p)
		p.replace(0)
	}
	var gone []*slot
	if len(s.slots) > s.want {
		gone = slices.Clone(s.slots[s.want:])
		s.slots = s.slots[:s.want]
	}
	s.share() // before the others stop
	for _, p := range gone {
		p.cancel()
		if p.next != nil {
			p.next.end(Quit)
		}
		if p.worker != nil {
			p.worker.retire(s.anyServing())
			p.worker.depart()
		}
	}
}

// share gives the sockets to the workers that serve and do not have them. All workers share each socket, so a
// connection waits for none of them in particular.
func (s *Pool) share() {
	for _, p := range s.slots {
		if w := p.worker; w != nil && w.state == Serving && !w.listens {
			w.listens = true
			for some := range slices.Chunk(s.addresses, maxFiles) {
				m := &Message{Kind: Listen}
				var files []*os.File
				for _, a := range some {
					m.Addresses, files = append(m.Addresses, a.Name), append(files, a.Socket)
				}
				w.send(m, files...)
			}
		}
	}
}
