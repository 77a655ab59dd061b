package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// generation is a set of workers that load together. They start to serve together, or none of them does. The first
// worker starts alone, so that an application that fails to load is reported once.
type generation struct {
	request
	workers []*worker
	// number of workers that served early and left the generation: see leaveBatch
	left   int
	opened bool
	// it serves; some workers of the old generation may still accept
	serves bool
}

type request struct {
	why     string
	upgrade bool // start the program's file, which may be a new version
	sleep   bool // the workers start Asleep
	// cancel the generation that is loading: its files have changed
	newer bool
	asked []chan<- error // buffered channels that receive the outcome
}

func (r *request) finished(err error) {
	for _, asked := range r.asked {
		asked <- err
	}
	r.asked = nil
}

var errEnding = errors.New("the server is shutting down")

// begin starts a new generation, or queues the request while another generation is loading. During handOver, the next
// program starts the queued generation.
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

func (p *Pool) first() bool { return p.adopted == 0 }

// manyRetiring reports whether too many old workers are still finishing requests. If so, a reload waits until one of
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

func (p *Pool) cancelLoads() {
	if p.batch != nil {
		p.batch.finished(errEnding)
	}
	if p.next != nil {
		p.next.finished(errEnding)
	}
	p.batch, p.next = nil, nil
}

func (p *Pool) maybeBegin() {
	if p.next != nil && p.batch == nil && !p.manyRetiring() {
		r := *p.next
		p.next = nil
		p.begin(r)
	}
}

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

// early returns the sockets on which the next worker may accept while it loads. It returns nil unless that worker is
// the very first and its failure would end the server.
func (p *Pool) early() []Address {
	if p.o.Stay || !p.first() || len(p.batch.workers) > 0 {
		return nil
	}
	if len(p.addresses) > 0 {
		return p.addresses
	}
	return p.o.Early()
}

// servesEarly reports whether w serves before its generation does. Only the first worker of the first generation does,
// which has the sockets while the others load.
func (w *worker) servesEarly() bool {
	return w.handles && w.listens && w.state < Serving && w.batch != nil && w.batch == w.pool.batch
}

// leaveBatch removes w from the loading generation. w serves early and has died or must be replaced. Its application
// has loaded, so the generation does not fail: it is complete without w, and another of its workers gets the sockets.
func (p *Pool) leaveBatch(w *worker) {
	g := p.batch
	w.batch = nil
	g.left++
	g.workers = slices.DeleteFunc(g.workers, func(other *worker) bool { return other == w })
	if len(g.workers) > 0 {
		g.workers[0].listenEarly(p.addresses)
	}
}

func (p *Pool) progress() {
	g := p.batch
	if g == nil || len(g.workers) == 0 {
		return
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
		return
	}
	for _, w := range g.workers {
		if w.state != Ready {
			return
		}
	}
	p.adopt(g)
}

// prepared accepts the settings of w, the first loaded worker of a generation, and opens the sockets if necessary. It
// returns false if the generation failed.
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

// If open fails, the server stops.
func (p *Pool) open(w *worker) (ok bool) {
	var err error
	if p.addresses, err = p.o.Open(w.settled); err != nil {
		p.fail(err)
	}
	return err == nil
}

// adopt makes the workers of g serve. They receive the sockets before the old workers close them.
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
		case w.replaces() && w.early != nil: // clients may wait for this worker
			w.retireLoaded()
		case w.replaces():
			w.end(Quit)
		}
	}
	time.AfterFunc(closedWithin, func() { p.post(func() { p.complete(g) }) })
	p.closed()
}

// closedWithin limits how long a reload waits for the Closed messages of the old workers. A stopped or starved worker
// may send none.
const closedWithin = time.Second

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

func (p *Pool) complete(g *generation) {
	if p.batch != g {
		return
	}
	p.batch = nil
	if !g.sleep {
		p.adopted++
	}
	for _, w := range p.workers { // send further requests of their clients to the new code
		w.depart()
	}
	p.failure, p.page = "", nil
	switch {
	case g.sleep:
		p.o.Log(logfile.Info, g.why)
	case p.adopted == 1:
		p.o.Up(p.addresses, false)
	case g.upgrade: // the new program logs it
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

func (p *Pool) dropBatch() {
	g := p.batch
	p.batch = nil
	for _, w := range g.workers {
		w.batch = nil
		w.end(Quit)
	}
}

// batchFailed cancels the loading generation because of w, or because no worker could be started if w is nil. said
// reports whether the worker has already logged the reason, as fapws does with the exit codes 1 to 3. Other codes come
// from code of the user, for example by os._exit.
func (p *Pool) batchFailed(w *worker, how string, code int, said bool) {
	g := p.batch
	p.dropBatch()
	name := "a worker"
	if w != nil {
		name = fmt.Sprintf("worker %d", w.pid)
	}
	again := p.failure != ""
	p.failure = name + " " + how
	if w != nil && w.reason != "" {
		p.failure += ": " + w.reason
	}
	if p.first() && (!p.o.Stay || !again && said && code == process.BadUsage) { // later, the script may be missing while an editor saves it
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
	line := name + " " + how + "; " + next // the worker has logged the reason
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
