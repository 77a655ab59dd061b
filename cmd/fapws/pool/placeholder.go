package pool

import (
	"fmt"
	"slices"

	"fapws/runtime/logfile"
)

// With Options.FailurePage, browsers get a page about code that does not load. Workers that serve receive it as a
// Notice. Before the first successful load, a placeholder serves it: a worker without an application.

// showFailure makes the page about the failure of w, and has it served.
func (p *Pool) showFailure(w *worker) {
	if p.o.FailurePage == nil {
		return
	}
	var said []byte
	if w != nil {
		said = w.stderrCapture.tail()
	}
	p.page = p.o.FailurePage(p.failure, said)
	for _, s := range p.slots {
		if s.worker != nil {
			p.sendPage(s.worker)
		}
	}
	if p.first() && p.placeholder == nil {
		p.startPlaceholder()
	}
}

// sendPage sends w the page if the last load failed.
func (p *Pool) sendPage(w *worker) {
	if p.page != "" {
		w.send(&Message{Kind: Notice, Text: p.page})
	}
}

func (p *Pool) startPlaceholder() {
	w, err := p.start(false, Placeholder)
	if err != nil {
		p.o.Log(logfile.Error, fmt.Sprintf("cannot start a worker that shows it: %v", err))
		return
	}
	p.placeholder = w
}

// servePlaceholder lets the placeholder serve once it has started.
func (p *Pool) servePlaceholder(w *worker) {
	if !p.first() || p.stopping {
		w.end(Quit)
		return
	}
	if err := p.open(w.settled); err != nil {
		p.fail(err)
		return
	}
	w.slot = &slot{pool: p, worker: w}
	p.slots = []*slot{w.slot}
	w.setState(Serving)
	p.sendPage(w)
	p.share()
	p.tellEvent(Event{Kind: PlaceholderUp, Addresses: p.addresses})
}

// placeholderDied is called when the process of the placeholder has ended.
func (p *Pool) placeholderDied(w *worker, how string) {
	p.placeholder = nil
	if w.slot != nil && p.first() {
		p.slots = nil
	}
	if !p.stopping && p.first() {
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d, which showed the failure, %s", w.pid, how))
	}
}

// open opens the addresses of settled, and closes sockets of the placeholder at other addresses.
func (p *Pool) open(settled *Settled) error {
	addresses, err := p.o.Open(settled)
	if err != nil {
		return err
	}
	for _, old := range p.addresses {
		if !slices.Contains(addresses, old) {
			old.Socket.Close()
		}
	}
	p.addresses = addresses
	return nil
}
