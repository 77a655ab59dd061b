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

// replaces reports whether w is loading in order to serve, and not with a generation.
func (w *worker) replaces() bool {
	return w.state < Serving && w.batch == nil && !w.leaves && !w.page
}

// level starts and retires workers until as many serve, or load, as are wanted.
func (p *Pool) level() {
	if g := p.batch; g != nil && len(g.workers) == 0 && p.pause == nil {
		p.startInBatch() // all that were started have left it
	}
	if p.first() || p.stopping {
		return
	}
	var stay, leave, load []*worker
	for _, w := range p.workers {
		switch {
		case w.replaces():
			load = append(load, w)
		case w.state != Serving:
		case w.replaced:
			leave = append(leave, w)
		default:
			stay = append(stay, w)
		}
	}
	for n := len(stay) + len(load); n < p.want && p.pause == nil; n++ {
		p.startOne()
	}
	p.share() // before others stop
	if surplus := len(stay) + len(load) - p.want; surplus > 0 {
		quit := min(surplus, len(load))
		for _, w := range load[:quit] {
			w.end(Quit)
		}
		leave, stay = append(leave, stay[:surplus-quit]...), stay[surplus-quit:]
	}
	var to *worker
	if len(stay) > 0 {
		to = stay[0]
	}
	for _, w := range leave[:max(0, len(stay)+len(leave)-p.want)] {
		w.retire(to)
		w.depart()
	}
}

// startOne starts a worker in the place of one that has died, or is to be replaced, or as one more.
func (p *Pool) startOne() {
	role := Eager
	if p.asleep {
		role = Asleep
	}
	if _, err := p.start(false, role); err != nil {
		p.wait()
		p.o.Log(logfile.Error, fmt.Sprintf("cannot start a worker: %v; the next try is in %v", err, p.backoff))
	}
}

// wait doubles the pause before the next start, within its bounds, unless it is waited for already.
func (p *Pool) wait() {
	if p.pause == nil {
		p.backoff = min(max(2*p.backoff, minBackoff), maxBackoff)
		p.pause = time.AfterFunc(p.backoff, func() {
			p.post(func() {
				p.pause = nil
				p.level()
			})
		})
	}
}

// calm ends the pause: there is no reason for it any more.
func (p *Pool) calm() {
	if p.pause != nil {
		p.pause.Stop()
	}
	p.pause, p.backoff = nil, 0
}

// promote makes w, which has loaded, a serving worker.
func (p *Pool) promote(w *worker) {
	w.setState(Serving)
	p.sendPage(w)
	if p.handing {
		w.channel.interrupt() // as those of the others
	}
	p.level()
}

// lost is called when a worker has died that served, or should.
func (p *Pool) lost(w *worker, was State, how string) {
	p.deaths++
	after := "starting a new one"
	if time.Since(w.started) < steady || was == Starting {
		p.wait()
		after = fmt.Sprintf("starting a new one in %v", p.backoff)
	} else {
		p.calm()
	}
	if was == Serving {
		p.o.Log(logfile.Warning, w.ended(how, after))
	} else {
		p.o.Log(logfile.Error, w.ended(how+" before it could serve", after))
	}
	p.level()
}

// recycle replaces w, after its successor has loaded. The successor of a worker that is soon replaced starts after a
// pause.
func (p *Pool) recycle(w *worker, why string) {
	if w.state > Serving || w.replaced {
		return
	}
	if time.Since(w.started) < steady { // each of them could ask at once
		p.wait()
	} else if p.pause == nil {
		p.backoff = 0
	}
	if w.asleep && w.reason != "" {
		p.notAwake(w)
		return
	}
	p.recycled++
	p.o.Log(logfile.Info, fmt.Sprintf("replacing worker %d: %s", w.pid, why))
	w.replaced = true
	if w.servesEarly() {
		p.leaveBatch(w)
		w.setState(Serving) // until the others replace it
		p.progress()
	}
	p.level()
}

// resize adds by workers, or removes them if by is negative.
func (p *Pool) resize(by int) {
	if p.stopping {
		return
	}
	p.want = max(1, p.want+by)
	p.o.Log(logfile.Info, Count(p.want, "worker"))
	if p.batch == nil { // else the end of the generation does it
		p.level()
	}
}

// Count is "1 worker" or "2 workers".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// share sends the listening sockets to the serving workers that do not have them yet. All workers accept from each
// socket, so any free worker takes a waiting connection. While none serves, a worker that loads has them.
func (p *Pool) share() {
	serves := false
	var early, loads *worker
	for _, w := range p.workers {
		switch {
		case w.state == Serving:
			serves = serves || !w.hung
			if !w.listens {
				w.listen(p.addresses)
			}
		case !w.replaces():
		case w.listens:
			early = w
		default:
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

// With the setting idle-stop, sleep is a reload into workers that have not loaded their application yet (Asleep). Each loads it when the first
// request needs it. Until then it serves as any other, so it is Serving.

// maybeSleep replaces all workers by ones that are asleep, if no application has been used for long enough. One that cannot be loaded again
// as far as is known stays.
func (p *Pool) maybeSleep() {
	if p.settled.IdleStop == 0 || p.batch != nil || p.next != nil || p.first() || p.stopping || p.handing || p.failure != "" {
		return
	}
	awake := false
	for _, w := range p.workers {
		// The WebSockets of one that does not serve any more may be on their way to a worker that is awake.
		if w.state != Serving || !w.asleep && !w.unused {
			return
		}
		awake = awake || !w.asleep
	}
	if awake {
		p.begin(request{why: fmt.Sprintf("no request for %v: the application sleeps until there is one", p.settled.IdleStop), sleep: true})
	}
}

// awake is called when w has loaded its application, later than itself.
func (p *Pool) awake(w *worker) {
	w.asleep, w.unused = false, false
	if w.state != Serving {
		return
	}
	p.settled, p.asleep = *w.settled, false
	for _, other := range p.workers {
		p.asleep = p.asleep || other.state == Serving && other.asleep
	}
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
	w.replaced = true
	p.level()
}
