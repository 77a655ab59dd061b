package pool

import (
	"errors"
	"fmt"
	"time"

	"fapws/runtime/loglevel"
)

// wrongUsage is the exit code of a worker that no change of a file helps.
const wrongUsage = 2

// self is the program that runs now, even if its file was replaced.
const self = "/proc/self/exe"

// generation is a set of workers that are loaded together and serve together or
// not at all. The first one is started alone: it says whether the application
// loads, once.
type generation struct {
	request
	program string
	workers []*worker
	old     map[*worker]bool // those replaced that may still accept; nil until it serves
	retired []*worker        // all that it replaces, until they may depart
}

// request asks for a generation.
type request struct {
	why     string
	upgrade bool           // the program, too
	newer   bool           // what is being loaded is out of date
	asked   []chan<- error // get the outcome; each has room for it
}

// finished tells those who asked what has become of it; nil: it serves.
func (r *request) finished(err error) {
	for _, asked := range r.asked {
		asked <- err
	}
	r.asked = nil
}

var errEnding = errors.New("the server is ending")

// begin starts a new generation, or notes that one is wanted after the one that
// is being loaded.
func (s *Pool) begin(r request) {
	if s.stopping || s.handing {
		r.finished(errEnding)
		return
	}
	if r.newer && s.batch != nil && s.batch.old == nil && !s.batch.upgrade {
		r.asked = append(r.asked, s.batch.asked...)
		s.dropBatch()
	}
	if s.batch != nil || s.crowded() {
		if s.next == nil {
			s.next = &r
			return
		}
		s.next.upgrade = s.next.upgrade || r.upgrade
		s.next.asked = append(s.next.asked, r.asked...)
		return
	}
	s.batch = &generation{request: r, program: self}
	if r.upgrade {
		s.batch.program = s.o.Program
	}
	if !s.first() || s.failure != "" {
		s.o.Log(loglevel.Info, s.batch.beginning())
		s.event(Reloading, "")
	}
	s.startInBatch()
}

func (g *generation) beginning() string {
	if g.upgrade {
		return "upgrading to " + g.program + ": " + g.why
	}
	return "reloading: " + g.why
}

// first says whether nothing has ever served.
func (s *Pool) first() bool { return s.adopted == 0 }

// crowded says whether as many workers as is sensible are still finishing what
// they have: a reload then waits for one of them to end.
func (s *Pool) crowded() bool {
	retiring := 0
	for _, w := range s.workers {
		if w.state >= Retiring {
			retiring++
		}
	}
	return retiring >= max(8, 4*s.want)
}

// giveUp forgets the generation that is being loaded and the one after it.
func (s *Pool) giveUp() {
	if s.batch != nil {
		s.batch.finished(errEnding)
	}
	if s.next != nil {
		s.next.finished(errEnding)
	}
	s.batch, s.next = nil, nil
}

// maybeBegin begins the generation that had to wait.
func (s *Pool) maybeBegin() {
	if s.next != nil && s.batch == nil && !s.crowded() {
		r := *s.next
		s.next = nil
		s.begin(r)
	}
}

// startInBatch starts one more worker of the generation.
func (s *Pool) startInBatch() {
	w, err := s.start(s.batch.program)
	if err != nil {
		s.batchFailed(nil, fmt.Sprintf("cannot be started: %v", err), startFailed, false)
		return
	}
	w.batch = s.batch
	s.batch.workers = append(s.batch.workers, w)
}

// progress is called when one more worker of the generation has loaded.
func (s *Pool) progress() {
	g := s.batch
	if len(g.workers) == 1 {
		if !s.prepared(g.workers[0]) {
			return
		}
		for len(g.workers) < s.want && s.batch == g {
			s.startInBatch()
		}
	}
	if s.batch != g {
		return // it has failed
	}
	for _, w := range g.workers {
		if w.state != Ready {
			return
		}
	}
	s.adopt(g)
}

// prepared does what can be done when the first worker of a generation has
// loaded: the settings are known.
func (s *Pool) prepared(w *worker) bool {
	if w.settled.Protocol != Protocol {
		s.batchFailed(w, fmt.Sprintf("speaks protocol %d, this program %d: stop it and start the new one", w.settled.Protocol, Protocol), startFailed, false)
		return false
	}
	if s.settled == nil {
		if err := s.open(w.settled); err != nil {
			s.fail(err)
			return false
		}
	}
	s.settled = w.settled
	return true
}

// adopt makes g the workers that serve. They get the sockets before the old
// ones give them up.
func (s *Pool) adopt(g *generation) {
	var old []*worker
	for _, slot := range s.slots {
		slot.cancel()
		old = append(old, slot.workers()...)
	}
	s.slots = make([]*slot, len(g.workers))
	for i, w := range g.workers {
		s.slots[i] = &slot{s: s, worker: w}
		w.slot, w.batch = s.slots[i], nil
		w.setState(Serving)
	}
	s.share()
	g.old = make(map[*worker]bool)
	for i, w := range old {
		if w.state == Serving {
			g.old[w] = true
			g.retired = append(g.retired, w)
			w.retire(g.workers[i%len(g.workers)])
		} else {
			w.end(Quit)
		}
	}
	time.AfterFunc(closedWithin, func() { s.post(func() { s.complete(g) }) })
	s.closed(nil)
}

// closedWithin is how long a reload waits for the old workers to say that they
// accept no more; one that is stopped or starved may not.
const closedWithin = time.Second

// closed is called when w accepts no more: the last of a generation that was
// replaced makes the reload complete, since all new connections get the new code.
func (s *Pool) closed(w *worker) {
	if g := s.batch; g != nil && g.old != nil {
		delete(g.old, w)
		if len(g.old) == 0 {
			s.complete(g)
		}
	}
}

// complete ends the reload that has brought g.
func (s *Pool) complete(g *generation) {
	if s.batch != g {
		return
	}
	s.batch = nil
	s.adopted++
	for _, w := range g.retired { // what their clients ask for now, the new code answers
		w.depart()
	}
	s.failure, s.page = "", ""
	switch {
	case s.adopted == 1:
		if s.o.Up != nil {
			s.o.Up(s.addresses, false)
		}
	case g.upgrade: // the new program will say so
	default:
		s.o.Log(loglevel.Info, "reloaded: "+Count(len(s.slots), "worker"))
	}
	s.event(Reloaded, "")
	g.finished(nil)
	if g.upgrade && s.adopted > 1 {
		s.beginHandOver()
		return
	}
	s.level()
	s.maybeBegin()
}

// dropBatch ends the workers of the generation that is being loaded.
func (s *Pool) dropBatch() {
	g := s.batch
	s.batch = nil
	for _, w := range g.workers {
		w.batch = nil
		if w.state != Dead {
			w.end(Quit)
		}
	}
}

// batchFailed gives up the generation because of w, if it is one of its workers.
// said: it has reported the reason itself, as fapws does with the codes 1 to 3; with
// others code of the user has ended the process (os._exit).
func (s *Pool) batchFailed(w *worker, how string, code int, said bool) {
	g := s.batch
	s.dropBatch()
	name := "a worker"
	if w != nil {
		name = fmt.Sprintf("worker %d", w.pid)
	}
	s.failure = name + " " + how
	if w != nil && w.reason != "" {
		s.failure += ": " + w.reason
	}
	ended := func(next string) string {
		if w != nil && !said {
			return w.ended(how, next)
		}
		return name + " " + how + ": " + next // the log has the reason already
	}
	switch {
	case s.first() && (!s.o.Stay || said && code == wrongUsage):
		err := &StartError{Code: code}
		if !said {
			err.Code, err.Line = startFailed, s.failure
		}
		s.fail(err)
		return
	case s.first():
		s.o.Log(loglevel.Error, ended("waiting for a change"))
	case g.upgrade:
		s.o.Log(loglevel.Error, ended("not upgraded, the old workers go on"))
	default:
		s.o.Log(loglevel.Error, ended("not reloaded, the old workers go on"))
	}
	s.event(Failed, s.failure)
	s.showFailure(w)
	g.finished(errors.New(s.failure))
	s.level()
	s.maybeBegin()
}
