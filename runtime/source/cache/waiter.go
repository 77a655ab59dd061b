package cache

import "fapws/runtime/exchange"

// waiter is the Source of an exchange that waits for a page which another one fetches.
type waiter struct {
	source *Source
	x      *exchange.Exchange // nil: its client has left
	f      *fetch             // that it waits for; nil: it is to ask again
	at     int                // where it is in f.waiting
	turns  int                // how often it has waited

	page    *Page // its answer; nil: it has to ask
	verdict Verdict
	late    bool // the page took too long
}

// maxTurns bounds how often a request waits: pages that differ by what its Vary
// says, or cannot be kept, may disappoint it.
const maxTurns = 3

// asked returns the request of w.
func (w *waiter) asked() *Request { return &Request{Head: w.x.Req.Head, Parsed: w.x.Req.Parsed} }

// wait makes x wait for f.
func (s *Source) wait(x *exchange.Exchange, f *fetch, turns int) {
	x.Server.Keep()
	w := &waiter{source: s, x: x, f: f, at: len(f.waiting), turns: turns}
	x.Source = w
	f.waiting = append(f.waiting, w)
	s.pages.waited[f] = struct{}{}
}

// Start implements exchange.Source.
func (w *waiter) Start(*exchange.Exchange) {}

// OnRoom implements exchange.Source.
func (w *waiter) OnRoom(*exchange.Exchange) {}

// OnGone implements exchange.Source. An origin that fetches the page for
// no client any more is told so.
func (w *waiter) OnGone(x *exchange.Exchange) {
	f := w.f
	w.x, w.f = nil, nil
	end(x)
	if f == nil {
		return
	}
	last := f.waiting[len(f.waiting)-1]
	f.waiting[w.at], last.at = last, w.at
	f.waiting = f.waiting[:len(f.waiting)-1]
	if len(f.waiting) > 0 {
		return
	}
	delete(f.source.pages.waited, f)
	if !f.alone && f.client == nil {
		f.leave()
	}
}

// take ends that exchanges wait for f, and returns their waiters.
func (f *fetch) take() []*waiter {
	delete(f.source.pages.waited, f)
	all := f.waiting
	f.waiting = nil
	for _, w := range all {
		w.f = nil
	}
	return all
}

// serve has a page sent to all that wait for f, soon: not now, as a
// connection that breaks meanwhile must not be the one that is worked on.
func (f *fetch) serve(page *Page, v Verdict) {
	p := f.source.pages
	for _, w := range f.take() {
		if v == Stale || f.fill.For(w.asked()) {
			w.page, w.verdict = page, v
		}
		p.retries = append(p.retries, w)
	}
}

// askAgain makes all that wait for f ask by themselves, soon.
func (f *fetch) askAgain() {
	p := f.source.pages
	p.retries = append(p.retries, f.take()...)
}

// failWaiting answers 504 to all that wait for f, soon.
func (f *fetch) failWaiting() {
	for _, w := range f.waiting {
		w.late = true
	}
	f.askAgain()
}

// Pending reports whether Retry has something to do.
func (p *Pages) Pending() bool { return len(p.retries) > 0 }

// Idle reports whether no exchange waits for a page.
func (p *Pages) Idle() bool { return len(p.waited)+len(p.retries) == 0 }

// Retry answers exchanges that have waited, or has them ask again.
func (p *Pages) Retry() {
	for i := 0; i < len(p.retries); i++ {
		w := p.retries[i]
		p.retries[i] = nil
		x := w.x
		if x == nil {
			continue
		}
		switch {
		case w.late:
			x.Source = exchange.Memory{}
			x.Sink.Reply(exchange.Reply{Status: 504})
		case w.page != nil:
			p.send(x, w.page, w.verdict, excerpt{unchanged: w.page.Unchanged(w.asked())})
		default:
			w.source.lookup(x, w.turns)
		}
	}
	p.retries = p.retries[:0]
}
