package pool

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// A generation is a set of workers that load together. Either all workers of a generation start to serve together, or
// none of them does. The first worker loads alone, so that an application that fails to load is reported only once.
type generation struct {
	p *Pool
	request
	workers []*worker
	// number of workers that have left the generation (see leave)
	left   int
	opened bool
	// this generation serves, but some workers of the old generation may still accept connections
	serves bool
}

type request struct {
	why     string
	upgrade bool // start the file at the program's path, which can be a new version
	fresh   bool // the new workers have the role Fresh
	sleep   bool // the new workers have the role Asleep
	// cancel the generation that is still loading, because its files have changed
	newer bool
	asked []chan<- error
}

func (r *request) finished(err error) {
	for _, asked := range r.asked {
		asked <- err
	}
	r.asked = nil
}

var errEnding = errors.New("the server is shutting down")

// begin starts a new generation. If a generation is already loading, begin queues the request. During an upgrade, the
// next program executes the queued request.
func (p *Pool) begin(r request) {
	if p.stopping {
		r.finished(errEnding)
		return
	}
	if r.newer && p.batch != nil && !p.batch.serves && !p.batch.upgrade {
		r.asked = append(r.asked, p.batch.asked...)
		p.batch.drop()
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
	if old := p.fresh; old != nil { // its application has not loaded yet
		r.asked = append(r.asked, old.asked...)
		p.fresh = nil
	}
	r.fresh = p.o.RetireFirst && !p.first() && !r.sleep && !r.upgrade
	p.batch = &generation{p: p, request: r}
	p.hidePage()
	if !r.sleep && (!p.first() || p.failure != "") {
		what := "reloading: "
		if r.upgrade {
			what = "upgrading: "
		}
		p.o.Log(logfile.Info, what+r.why)
		p.o.Event(Reloading, "")
	}
	p.batch.startNext()
}

func (p *Pool) first() bool { return p.adopted == 0 }

func (p *Pool) manyRetiring() bool {
	retiring := 0
	for _, w := range p.workers {
		if w.State >= Retiring {
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

func (g *generation) startNext() {
	p := g.p
	early, role := g.early(), Plain
	if len(early) > 0 {
		role = Eager
	}
	switch {
	case g.sleep:
		role = Asleep
	case g.fresh:
		role = Fresh
	}
	w, err := p.start(g.upgrade, role)
	if err != nil {
		g.fail(nil, fmt.Sprintf("cannot be started: %v", err), process.NoStart, false)
		return
	}
	w.batch = g
	g.workers = append(g.workers, w)
	if len(early) > 0 {
		w.listenEarly(early)
	}
}

// early returns the sockets on which the next worker may accept connections while it loads, or nil unless it is the
// very first worker of the server. With Options.Stay, early also returns nil, because the server then keeps running if
// this worker fails to load.
func (g *generation) early() []NamedSocket {
	p := g.p
	if p.o.Stay || !p.first() || len(g.workers) > 0 {
		return nil
	}
	if len(p.addresses) > 0 {
		return p.addresses
	}
	return p.o.Early()
}

// leave removes w from the generation because w has died or must be replaced. Other workers of the generation are still
// loading, but w has loaded and already serves (see servesEarly). The generation continues without w, and another
// worker of the generation gets the sockets.
func (g *generation) leave(w *worker) {
	p := g.p
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
		if !g.prepared(g.workers[0]) {
			return
		}
		g.opened = true
	}
	for len(g.workers)+g.left < p.want && p.batch == g {
		g.startNext()
	}
	if p.batch != g {
		return
	}
	for _, w := range g.workers {
		if w.State < Ready {
			return
		}
	}
	g.adopt()
}

// prepared opens the sockets by the settings of w, the first loaded worker of a generation, or checks that the settings
// fit the open sockets (Options.Fits). The result is false if they do not fit, or if the sockets cannot be opened.
func (g *generation) prepared(w *worker) bool {
	p := g.p
	if p.settled.Protocol == 0 {
		if !p.open(w) {
			return false
		}
		p.settled = w.settled
	} else if why := p.o.Fits(&w.settled); why != "" {
		g.fail(w, why, process.BadUsage, false)
		return false
	}
	w.Listens = w.Listens && slices.Equal(w.early, p.addresses)
	return true
}

// open opens the sockets, or stops the server if a socket cannot be opened.
func (p *Pool) open(w *worker) (ok bool) {
	var err error
	if p.addresses, err = p.o.Open(&w.settled); err != nil {
		p.fail(err)
	}
	return err == nil
}

// adopt replaces the old workers by the workers of g. The new workers receive the sockets before the old workers stop
// accepting connections.
func (g *generation) adopt() {
	p := g.p
	p.pace.reset()
	p.asleep = g.sleep
	if !g.workers[0].sleeps() {
		p.settled = g.workers[0].settled
	}
	if g.fresh {
		p.fresh, p.failure, p.notice = g, "", nil
	}
	for _, w := range g.workers {
		w.serve()
	}
	p.share()
	g.serves = true
	retired := 0
	for _, w := range p.workers {
		switch {
		case slices.Contains(g.workers, w):
		case w.serves():
			w.retire(g.workers[retired%len(g.workers)])
			retired++
		case w.replaces() && w.early != nil: // this worker may have accepted clients that now wait
			w.retireLoaded()
		case w.replaces():
			w.end(Quit)
		}
	}
	p.after(closedWithin, g.complete)
	p.closed()
}

// closedWithin limits how long a reload waits for the Closed messages of the old workers. A worker that a signal has
// suspended sends no message.
const closedWithin = time.Second

func (p *Pool) closed() {
	if p.batch == nil || !p.batch.serves {
		return
	}
	for _, w := range p.workers {
		if w.State == Retiring && w.Exit < closed {
			return
		}
	}
	p.batch.complete()
}

func (g *generation) complete() {
	p := g.p
	if p.batch != g {
		return
	}
	p.batch = nil
	if !g.sleep {
		p.adopted++
	}
	// Old workers release their idle clients, so that the new workers answer the next requests of these clients.
	for _, w := range p.workers {
		w.depart()
	}
	if g.fresh {
		p.freshened()
		p.level()
		p.maybeBegin()
		return
	}
	p.failure, p.notice = "", nil
	switch {
	case g.sleep:
		p.o.Log(logfile.Info, g.why)
	case p.adopted == 1:
		p.o.Up(p.addresses, false)
	case g.upgrade:
	default:
		p.o.Log(logfile.Info, "reloaded: "+Count(len(g.workers), "worker"))
	}
	if g.upgrade && p.adopted > 1 {
		p.o.Event(Upgrading, "")
		g.finished(nil)
		p.beginHandOver()
		return
	}
	p.o.Event(Reloaded, "")
	g.finished(nil)
	p.level()
	p.maybeBegin()
}

// freshened ends a reload with RetireFirst, if the application has loaded in all workers that replace the old ones.
func (p *Pool) freshened() {
	g := p.fresh
	if g == nil || p.batch == g || slices.ContainsFunc(g.workers, func(w *worker) bool {
		return w.serves() && w.sleeps()
	}) {
		return
	}
	p.fresh, p.settled = nil, g.workers[0].settled
	if why := p.o.Fits(&p.settled); why != "" {
		p.o.Log(logfile.Error, fmt.Sprintf("worker %d %s", g.workers[0].Pid, why))
	}
	p.o.Log(logfile.Info, "reloaded: "+Count(len(g.workers), "worker"))
	p.o.Event(Reloaded, "")
	g.finished(nil)
}

// notFresh handles a worker in which changed code has not loaded (RetireFirst). Until the next change, clients get a
// page about the failure from this worker or, if it has died, from a worker with the role PageOnly.
func (p *Pool) notFresh(w *worker, ending string) {
	failure := fmt.Sprintf("worker %d %s", w.Pid, ending)
	if w.reason != "" {
		failure += ": " + w.reason
	}
	g := p.fresh
	if g == nil || !slices.Contains(g.workers, w) { // another worker has failed before, or newer code replaces this one
		if w.State != Dead {
			w.send(p.o.FailureNotice(failure, w.stderrCapture.tail()))
		}
		return
	}
	p.fresh, p.failure = nil, failure
	p.o.Log(logfile.Error, fmt.Sprintf("worker %d %s; reload failed; waiting for a change", w.Pid, ending))
	p.o.Event(Failed, p.failure)
	p.showFailure(w)
	g.finished(errors.New(p.failure))
}

// hidePage makes the workers that show a failure stop accepting connections while changed code loads. New requests
// wait, so that none of them gets the old page after the new code has answered another one.
func (p *Pool) hidePage() {
	for _, w := range p.workers {
		if w.Role == PageOnly && w.Listens {
			w.unlisten()
		}
	}
}

// showsFailure reports whether a worker shows why the code does not load. Other workers then wait for the next reload.
func (p *Pool) showsFailure() bool {
	for _, w := range p.workers {
		if w.Role == PageOnly && w.State <= Serving {
			return true
		}
	}
	return false
}

func (g *generation) drop() {
	p := g.p
	p.batch = nil
	for _, w := range g.workers {
		w.batch = nil
		w.end(Quit)
	}
}

// fail cancels the loading generation because the worker w has failed. w is nil if no worker could be started. reported
// is true if the worker has already logged the reason. A process of fapws logs the reason before it ends with an exit
// code from 1 to 3. All other codes come from the application, for example from os._exit.
func (g *generation) fail(w *worker, ending string, code int, reported bool) {
	p := g.p
	g.drop()
	name := "a worker"
	if w != nil {
		name = fmt.Sprintf("worker %d", w.Pid)
	}
	again := p.failure != ""
	p.failure = name + " " + ending
	if w != nil && w.reason != "" {
		p.failure += ": " + w.reason
	}
	// after the first attempt, the script may be missing only because an editor is saving it
	if p.first() && (!p.o.Stay || !again && reported && code == process.BadUsage) {
		err := &process.ExitError{Code: code}
		if !reported {
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
	line := name + " " + ending + "; " + next
	if w != nil && !reported {
		line = w.ended(ending, next)
	}
	p.o.Log(logfile.Error, line)
	p.o.Event(Failed, p.failure)
	p.showFailure(w)
	g.finished(errors.New(answer))
	p.level()
	p.maybeBegin()
}

func (p *Pool) showFailure(w *worker) {
	if p.o.FailureNotice == nil {
		return
	}
	var said []byte
	if w != nil {
		said = w.stderrCapture.tail()
	}
	p.notice = p.o.FailureNotice(p.failure, said)
	shown := false
	for _, w := range p.workers {
		if w.serves() {
			w.sendNotice()
			shown = shown || w.Role != Fresh
		}
		shown = shown || w.Role == PageOnly
	}
	if !shown {
		if _, err := p.start(false, PageOnly); err != nil {
			p.o.Log(logfile.Error, fmt.Sprintf("cannot start a worker that shows it: %v", err))
		}
	}
	p.share()
}

func (p *Pool) servePage(w *worker) {
	if !p.first() && p.failure == "" || p.stopping {
		w.end(Quit)
		return
	}
	if p.first() && !p.open(w) {
		return
	}
	w.serve()
	w.sendNotice()
	p.share()
	p.o.Event(PageUp, "")
}

// beginHandOver stops reading from all channels, so that the next program receives all messages that have not been read
// yet.
func (p *Pool) beginHandOver() {
	p.handing = true
	for _, w := range p.workers {
		w.channel.interrupt()
	}
	p.maybeHandOver()
}

// maybeHandOver replaces this program by the next program if all channels are interrupted and all outboxes are empty.
func (p *Pool) maybeHandOver() {
	if !p.handing || p.stopping {
		return
	}
	waits := p.o.Broker != nil && !p.o.Broker.Idle() // events must not be lost while the broker is unreachable
	for _, w := range p.workers {
		// Wait until a dead worker is removed from p.workers: the next program could not wait for a reaped process.
		if !w.idle || w.Exit == reaped {
			return // maybeHandOver is called again when the worker's channel is interrupted
		}
		waits = waits || w.out.bytes.Load() > 0
	}
	if waits {
		p.after(handOverAgain, p.maybeHandOver)
		return
	}
	if p.o.Broker != nil {
		p.o.Broker.withdrawCounts() // the next program has another name
	}
	var err error
	process.OnMain(func() { err = handOver(p) })
	p.o.Log(logfile.Error, fmt.Sprintf("cannot start the new version: %v; the new workers keep serving under the "+
		"old program", err))
	p.handing = false
	for _, w := range p.workers {
		w.idle = false
		w.channel.resume()
		go w.receive()
	}
	p.level()
	p.maybeBegin()
}
