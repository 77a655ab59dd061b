package pool

import (
	"fmt"

	"fapws/runtime/logfile"
)

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
func (p *Pool) awake(w *worker, settled *Settled) {
	if !w.sleep.asleep {
		return
	}
	w.sleep = sleepState{}
	w.settle(settled)
	if w.state != Serving {
		return
	}
	w.limit.Stop()
	p.settled, w.slot.asleep = settled, false
	if p.page == "" { // else browsers see that a reload has failed
		p.failure = ""
	}
	p.o.Log(logfile.Info, fmt.Sprintf("worker %d: the application is awake", w.pid))
}

// notAwake is called when w could not load. Its clients get the reason, and another one takes its place, which is asleep.
func (p *Pool) notAwake(w *worker) {
	p.failure = fmt.Sprintf("worker %d failed to load: %s", w.pid, w.reason)
	p.o.Log(logfile.Error, fmt.Sprintf("worker %d failed to load the application; the next request tries again", w.pid))
	if p.o.FailurePage != nil {
		w.send(&Message{Kind: Notice, Text: p.o.FailurePage(p.failure, w.stderrCapture.tail())})
	}
	w.slot.replace(0)
}
