package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// Stop ends all workers within the graceful timeout, and then Run.
func (p *Pool) Stop() { p.post(func() { p.stop(Stop) }) }

// stop ends all workers (Stop or Quit). It closes the sockets first, so that new clients are refused at once.
func (p *Pool) stop(kind Kind) {
	if !p.stopping {
		p.stopping = true
		p.event(Stopping, "")
		text := "stopping immediately"
		if kind == Stop {
			text = fmt.Sprintf("stopping; waiting up to %v for active requests (signal again to exit now)", p.grace())
			if d := p.delay(); d > 0 {
				text = fmt.Sprintf("stopping in %v, then waiting up to %v for active requests (signal again to exit now)", d, p.grace())
			}
		}
		p.o.Log(logfile.Info, text)
		p.closeSockets()
		p.cancelLoads()
		for _, slot := range p.slots {
			slot.cancel()
		}
	}
	for _, w := range p.workers {
		if w.state == Ending && kind == Quit {
			w.within(endMargin, "does not end")
			w.send(&Message{Kind: Quit})
		}
		w.end(kind)
		_ = w.process.Signal(unix.SIGCONT) // one that a signal has stopped could not obey; failing, it has ended
	}
	p.maybeEnd()
}

// killAll kills all workers, after a second signal to stop.
func (p *Pool) killAll() {
	p.o.Log(logfile.Warning, "received a second stop signal; exiting immediately")
	p.result = &StartError{Code: 1}
	for _, w := range p.workers {
		w.process.Kill()
	}
	p.maybeEnd()
}

// fail ends a supervisor that could not start.
func (p *Pool) fail(err error) {
	p.result = err
	p.stopping = true
	p.cancelLoads()
	for _, w := range p.workers {
		w.end(Quit)
	}
	p.maybeEnd()
}

func (p *Pool) maybeEnd() { p.ended = p.stopping && len(p.workers) == 0 }

// closeSockets closes the listening sockets here. Those of workers live on.
func (p *Pool) closeSockets() {
	for _, a := range p.addresses {
		a.Socket.Close()
	}
	p.addresses = nil
}

// grace is the graceful timeout, as far as it is known.
func (p *Pool) grace() time.Duration {
	if p.settled == nil {
		return 0
	}
	return p.settled.Grace
}

// delay is the shutdown delay, as far as it is known.
func (p *Pool) delay() time.Duration {
	if p.settled == nil {
		return 0
	}
	return p.settled.Delay
}
