package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// generation is a set of workers that load together and begin to serve together, or not at all. The first one is
// started alone, so that an application that fails to load is reported once.
type generation struct {
	request
	workers []*worker
	left    int  // workers that served before the others had loaded, and then left it: see leaveBatch
	opened  bool // the settings of the first worker are taken
	serves  bool // in the place of others, of which some may still accept
}

// request asks for a generation.
type request struct {
	why     string
	upgrade bool           // start the program's file again, which may be a new version
	sleep   bool           // its workers are Asleep
	newer   bool           // give up the generation that is loading: its files have changed
	asked   []chan<- error // get the outcome; each is buffered
}

// finished sends the outcome to the channels of asked; nil: the generation serves.
func (r *request) finished(err error) {
	for _, asked := range r.asked {
		asked <- err
	}
	r.asked = nil
}

var errEnding = errors.New("the server is shutting down")

// begin starts a new generation, or records that another must follow the one that is loading. While another program takes over, handOver
// has that program start it.
func (p *Pool) begin(r request) {
	if p.stopping {
		r.finished(errEnding)
		return
	}
	if r.newer && p.batch != nil && !p.batch.serves && !p.batch.upgrade {
		r.asked = append(r.asked, p.batch.asked...)
		p.dropBatch()
	}
	if p.batch != nil || p.handing || p.manyRetiring() {
		if p.next == nil {
			p.next = &r
			return
		}
		if r.upgrade && !p.next.upgrade {
			p.next.upgrade, p.next.why = true, r.why
		}
		p.next.asked = append(p.next.asked, r.asked...)
		return
	}
	p.batch = &generation{request: r}
	if !r.sleep && (!p.first() || p.failure != "") {
		what := "reloading: "
		if r.upgrade {
			what = "upgrading: "
		}
		p.o.Log(logfile.Info, what+r.why)
		p.o.Event(Reloading, "")
	}
	p.startInBatch()
}

// first reports whether no generation has served yet.
func (p *Pool) first() bool { return p.adopted == 0 }

// manyRetiring reports whether so many old workers are still finishing requests that a reload has to wait until one of
// them ends.
func (p *Pool) manyRetiring() bool {
	retiring := 0
	for _, w := range p.workers {
		if w.state >= Retiring {
			retiring++
		}
	}
	return retiring >= max(8, 4*p.want)
}

// cancelLoads forgets the generation that is loading and the one that was to follow: the server is ending.
func (p *Pool) cancelLoads() {
	if p.batch != nil {
		p.batch.finished(errEnding)
	}
	if p.next != nil {
		p.next.finished(errEnding)
	}
	p.batch, p.next = nil, nil
}

// maybeBegin begins the generation that had to wait.
func (p *Pool) maybeBegin() {
	if p.next != nil && p.batch == nil && !p.manyRetiring() {
		r := *p.next
		p.next = nil
		p.begin(r)
	}
}

// startInBatch starts one more worker of the generation.
func (p *Pool) startInBatch() {
	early, role := p.early(), ""
	if len(early) > 0 {
		role = Eager
	}
	if p.batch.sleep {
		role = Asleep
	}
	w, err := p.start(p.batch.upgrade, role)
	if err != nil {
		p.batchFailed(nil, fmt.Sprintf("cannot be started: %v", err), process.NoStart, false)
		return
	}
	w.batch = p.batch
	p.batch.workers = append(p.batch.workers, w)
	if len(early) > 0 {
		w.listenEarly(early)
	}
}

// early returns the sockets on which the next worker may answer clients while it loads: no other one does, and if it fails the
// server ends.
func (p *Pool) early() []Address {
	if p.o.Stay || !p.first() || len(p.batch.workers) > 0 {
		return nil
	}
	if len(p.addresses) > 0 {
		return p.addresses
	}
	return p.o.Early()
}

// servesEarly reports whether w serves although its generation does not yet: the first one of all, whose first worker
// has the sockets
// while the others load.
func (w *worker) servesEarly() bool {
	return w.handles && w.listens && w.state < Serving && w.batch != nil && w.batch == w.pool.batch
}

// leaveBatch takes w, which serves early and has died or must be replaced, out of the generation that is loading. Its
// application has
// loaded, so the generation does not fail: it is complete without w, and another worker of it serves meanwhile.
func (p *Pool) leaveBatch(w *worker) {
	g := p.batch
	w.batch = nil
	g.left++
	g.workers = slices.DeleteFunc(g.workers, func(other *worker) bool { return other == w })
	if len(g.workers) > 0 {
		g.workers[0].listenEarly(p.addresses)
	}
}

// progress is called when one more worker of the generation has loaded.
func (p *Pool) progress() {
	g := p.batch
	if g == nil || len(g.workers) == 0 {
		return // level starts one
	}
	if !g.opened {
		if !p.prepared(g.workers[0]) {
			return
		}
		g.opened = true
	}
	for len(g.workers)+g.left < p.want && p.batch == g {
		p.startInBatch()
	}
	if p.batch != g {
		return // it has failed
	}
	for _, w := range g.workers {
		if w.state != Ready {
			return
		}
	}
	p.adopt(g)
}

// prepared takes the settings of w, the first loaded worker of a generation, and opens the sockets if none are open. It
// returns false if the generation cannot go on.
func (p *Pool) prepared(w *worker) bool {
	if p.settled.Protocol == 0 {
		if !p.open(w) {
			return false
		}
	} else if why := p.o.Fits(w.settled); why != "" {
		p.batchFailed(w, why, process.BadUsage, false)
		return false
	}
	if !w.asleep {
		p.settled = *w.settled
	}
	w.listens = w.listens && slices.Equal(w.early, p.addresses)
	return true
}

// open opens the addresses of the settings of w. If it fails, the server ends.
func (p *Pool) open(w *worker) (ok bool) {
	var err error
	if p.addresses, err = p.o.Open(w.settled); err != nil {
		p.fail(err)
	}
	return err == nil
}

// adopt lets the workers of g serve. They get the sockets before the old workers close them.
func (p *Pool) adopt(g *generation) {
	p.calm()
	p.asleep = g.sleep
	for _, w := range g.workers {
		w.batch = nil
		w.setState(Serving)
	}
	p.share()
	g.serves = true
	retired := 0
	for _, w := range p.workers {
		switch {
		case slices.Contains(g.workers, w):
		case w.state == Serving:
			w.retire(g.workers[retired%len(g.workers)])
			retired++
		case w.replaces() && w.early != nil: // clients wait for it
			w.retireLoaded()
		case w.replaces():
			w.end(Quit)
		}
	}
	time.AfterFunc(closedWithin, func() { p.post(func() { p.complete(g) }) })
	p.closed()
}

// closedWithin bounds the time that a reload waits for the old workers' Closed messages; a stopped or starved worker
// may send none.
const closedWithin = time.Second

// closed completes a reload when no worker accepts any more that was replaced: all new connections get the new code.
func (p *Pool) closed() {
	if p.batch == nil || !p.batch.serves {
		return
	}
	for _, w := range p.workers {
		if w.state == Retiring && !w.closed {
			return
		}
	}
	p.complete(p.batch)
}

// complete ends the reload that started g.
func (p *Pool) complete(g *generation) {
	if p.batch != g {
		return
	}
	p.batch = nil
	if !g.sleep {
		p.adopted++
	}
	for _, w := range p.workers { // further requests of their clients get the new code
		w.depart()
	}
	p.failure, p.page = "", nil
	switch {
	case g.sleep:
		p.o.Log(logfile.Info, g.why)
	case p.adopted == 1:
		p.o.Up(p.addresses, false)
	case g.upgrade: // the new program reports it
	default:
		p.o.Log(logfile.Info, "reloaded: "+Count(len(g.workers), "worker"))
	}
	p.o.Event(Reloaded, "")
	g.finished(nil)
	if g.upgrade && p.adopted > 1 {
		p.beginHandOver()
		return
	}
	p.level()
	p.maybeBegin()
}

// dropBatch ends the workers of the generation that is being loaded.
func (p *Pool) dropBatch() {
	g := p.batch
	p.batch = nil
	for _, w := range g.workers {
		w.batch = nil
		w.end(Quit)
	}
}

// batchFailed gives up the generation because of w, if it is one of its workers.
// said: it has reported the reason itself, as fapws does with the codes 1 to 3; with
// others code of the user has ended the process (os._exit).
func (p *Pool) batchFailed(w *worker, how string, code int, said bool) {
	g := p.batch
	p.dropBatch()
	name := "a worker"
	if w != nil {
		name = fmt.Sprintf("worker %d", w.pid)
	}
	p.failure = name + " " + how
	if w != nil && w.reason != "" {
		p.failure += ": " + w.reason
	}
	if p.first() && (!p.o.Stay || said && code == process.BadUsage) {
		err := &process.ExitError{Code: code}
		if !said {
			err.Code, err.Text = process.NoStart, p.failure
		}
		p.fail(err)
		return
	}
	next, answer := "reload failed; the old workers keep serving", p.failure+"; the old workers keep serving"
	switch {
	case p.first():
		next, answer = "waiting for a change", p.failure
	case g.upgrade:
		next = "upgrade failed; the old workers keep serving"
	case g.sleep:
		next = "the application stays awake until the next reload"
	}
	line := name + " " + how + "; " + next // the log has the reason already
	if w != nil && !said {
		line = w.ended(how, next)
	}
	p.o.Log(logfile.Error, line)
	p.o.Event(Failed, p.failure)
	p.showFailure(w)
	g.finished(errors.New(answer))
	p.level()
	p.maybeBegin()
}
