package runtime

import (
	"fapws/runtime/exchange"
	"fapws/runtime/source/cache"
)

// cacheWaiter is a request that waits for a page that another one fetches.
type cacheWaiter struct {
	x  *Exchange  // nil: its client has left
	f  *cacheFill // that it waits for; nil: it is to ask again
	at int        // where it is in f.waiting

	page *cache.Page // what it gets; nil: it has to ask
	said cache.Verdict
	late bool // the page took too long
}

// maxTurns bounds how often a request waits: pages that differ by what its Vary
// says, or cannot be kept, may disappoint it.
const maxTurns = 3

// asked returns what w asks for.
func (w *cacheWaiter) asked() *cache.Request {
	q := w.x.req
	return &cache.Request{Head: q.handed.Head, Parsed: q.handed.Parsed}
}

// wait makes x wait for f.
func (l *loop) wait(x *Exchange, f *cacheFill) {
	x.req.keep()
	w := &cacheWaiter{x: x, f: f, at: len(f.waiting)}
	x.wait = w
	f.waiting = append(f.waiting, w)
	l.pages.waited[f] = struct{}{}
	if y := f.x; y != nil && y.deferred { // x must not wait for y's client
		y.conn.deferred--
		l.startDeferred(y)
	}
}

// take ends that anybody waits for f, and returns who did.
func (f *cacheFill) take() []*cacheWaiter {
	all := f.waiting
	f.waiting = nil
	for _, w := range all {
		w.f = nil
	}
	return all
}

// end returns the exchange of w, which waits no more.
func (w *cacheWaiter) end() *Exchange {
	x := w.x
	w.x, x.wait = nil, nil
	return x
}

// serveWaiting has a page sent to all who wait for f, soon: not now, as a
// connection that breaks meanwhile must not be the one that is worked on.
func (l *loop) serveWaiting(f *cacheFill, page *cache.Page, said cache.Verdict) {
	delete(l.pages.waited, f)
	for _, w := range f.take() {
		if said == cache.Stale || f.fill.For(w.asked()) {
			w.page, w.said = page, said
		}
		l.pages.retries = append(l.pages.retries, w)
	}
}

// askAgain makes all who wait for f ask by themselves, soon.
func (l *loop) askAgain(f *cacheFill) {
	delete(l.pages.waited, f)
	l.pages.retries = append(l.pages.retries, f.take()...)
}

// failWaiting answers 504 to all who wait for f, soon.
func (l *loop) failWaiting(f *cacheFill) {
	for _, w := range f.waiting {
		w.late = true
	}
	l.askAgain(f)
}

// retryWaiting sends those who have waited what there is for them, or lets them
// ask.
func (l *loop) retryWaiting() {
	for i := 0; i < len(l.pages.retries); i++ {
		w := l.pages.retries[i]
		l.pages.retries[i] = nil
		if w.x == nil {
			continue
		}
		asked := w.asked()
		x := w.end()
		switch {
		case w.late:
			x.Reply(exchange.Reply{Status: 504})
		case w.page != nil:
			l.sendPage(x, w.page, w.said, pagePart{unchanged: w.page.Unchanged(asked)})
		default:
			l.lookup(x)
		}
	}
	l.pages.retries = l.pages.retries[:0]
}

// waitEnds is for a waiter whose client has left. A handler that fetches the page for
// no client any more is told so.
func (l *loop) waitEnds(x *Exchange) {
	w := x.wait
	w.x, x.wait = nil, nil
	f := w.f
	if f == nil {
		return
	}
	last := f.waiting[len(f.waiting)-1]
	f.waiting[w.at], last.at = last, w.at
	f.waiting = f.waiting[:len(f.waiting)-1]
	if len(f.waiting) > 0 {
		return
	}
	delete(l.pages.waited, f)
	if !f.alone && f.x.conn == nil {
		f.x.fill = nil
		f.fill.Leave()
		l.giveUp(f.x)
	}
}
