package pool

import (
	"fmt"
	"os"
	"slices"
	"time"

	"fapws/runtime"
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
		p.s.o.Log(runtime.LevelError, fmt.Sprintf("cannot start a worker: %v; the next try is in %v", err, p.backoff))
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
		s.o.Log(runtime.LevelWarning, w.ended(how, after))
		if p.next != nil {
			return // it is on its way
		}
	case p.next:
		p.next = nil
		s.o.Log(runtime.LevelError, w.ended(how+" before it could serve", after))
	}
	p.replace(p.backoff)
}

// worn is called when w should be replaced: its successor is loaded first.
func (s *Pool) worn(w *worker, why string) {
	if w.state != Serving || w.slot == nil || w.slot.next != nil || w.slot.retry != nil {
		return
	}
	s.o.Log(runtime.LevelInfo, fmt.Sprintf("worker %d %s: it is replaced", w.pid, why))
	w.slot.replace(0)
}

// resize changes the number of workers.
func (s *Pool) resize(by int) {
	if s.stopping {
		return
	}
	s.want = max(1, s.want+by)
	s.o.Log(runtime.LevelInfo, Count(s.want, "worker"))
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
		}
	}
}

// share divides the sockets among the workers that serve, and tells those for
// whom that changes something.
func (s *Pool) share() {
	serving := make([]bool, len(s.slots))
	for i, p := range s.slots {
		serving[i] = p.worker != nil && p.worker.state == Serving
	}
	due := make([][]int, len(s.slots))
	for a, address := range s.addresses {
		for i, numbers := range assign(len(address.Sockets), serving) {
			for _, n := range numbers {
				due[i] = append(due[i], socketID(a, n))
			}
		}
	}
	for i, p := range s.slots {
		if serving[i] && !slices.Equal(due[i], p.worker.told) {
			s.tell(p.worker, due[i])
		}
	}
}

// socketID numbers the sockets of all addresses.
func socketID(address, n int) int { return address<<16 | n }

// tell makes w accept on the sockets with the ids.
func (s *Pool) tell(w *worker, ids []int) {
	var sockets []Socket
	for _, id := range ids {
		if slices.Contains(w.told, id) {
			sockets = append(sockets, s.socket(id))
		}
	}
	var files []*os.File
	for _, id := range ids {
		if slices.Contains(w.told, id) {
			continue
		}
		if len(files) == maxFiles { // the rest follows
			w.send(&Message{Kind: Listen, Sockets: sockets}, files...)
			files = nil
			for i := range sockets {
				sockets[i].New = false
			}
		}
		sockets = append(sockets, s.socket(id))
		sockets[len(sockets)-1].New = true
		files = append(files, s.addresses[id>>16].Sockets[id&0xffff])
	}
	w.send(&Message{Kind: Listen, Sockets: sockets}, files...)
	w.told = ids
}

func (s *Pool) socket(id int) Socket { return Socket{ID: id, Address: s.addresses[id>>16].Name} }
