package cache

import (
	"bytes"
	"container/list"
	"fmt"
	"slices"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

// fetch has x answered by the origin, and the response kept.
func (s *Source) fetch(x *exchange.Exchange, found Found) {
	f := s.newFetch(x, found)
	x.Source, x.Fields = f, found.Verdict.field()
	f.ask()
	if f.origin.Parent != nil {
		x.By = f.origin.By
	}
}

// newFetch makes the request of x the one that the origin is asked for found.
func (s *Source) newFetch(x *exchange.Exchange, found Found) *Fill {
	f, r := found.Fill, *x.Req
	f.source, f.depth = s, r.Depth
	f.origin = x.Sub(&r, s.origin, f)
	f.origin.Recorded = true
	var conditions []byte
	if found.Page != nil {
		conditions = found.Page.Conditions()
	}
	// A head that has no room for them is sent without them.
	if f.conditional = len(conditions) > 0 && condition(&r, s.pages.limits, conditions); !f.conditional {
		condition(&r, s.pages.limits, nil)
	}
	return f
}

// ask asks the origin.
func (f *Fill) ask() {
	f.source.origin.Start(&f.origin)
	f.origin.Req = nil
}

// condition removes from a request the fields that make its answer depend on what the
// client has already, and adds conditions. It has no codings that its key does not have. ok is false if the head exceeds a limit then; nothing has changed.
func condition(r *exchange.Request, limits *http1.Limits, conditions []byte) (ok bool) {
	line, fields, _ := bytes.Cut(r.Head, crlf)
	kept := fields
	for _, name := range conditionals {
		kept = exchange.WithoutField(kept, name)
	}
	if saysMore(r) {
		kept = exchange.WithoutField(kept, []byte("Accept-Encoding"))
		conditions = slices.Concat(conditions, []byte("Accept-Encoding: "), bytes.TrimSuffix(appendCodings(nil, r), []byte{','}), crlf)
	}
	if len(kept) == len(fields) && len(conditions) == 0 {
		return true
	}
	bare := slices.Concat(line, crlf, conditions, kept)
	changed := new(http1.Request)
	if changed.ParseWhole(bare, limits) != nil {
		return false
	}
	r.Head, r.Parsed = bare, changed
	return true
}

var (
	crlf         = []byte("\r\n")
	conditionals = [...][]byte{[]byte("If-None-Match"), []byte("If-Modified-Since"), []byte("If-Range")}
)

// now returns the time of the pages.
func (f *Fill) now() int64 { return f.source.pages.now() }

// instead reports whether the older page is to be sent in place of an answer with that status. unreachable says that there is
// none.
func (f *Fill) instead(status int, unreachable bool) bool {
	return f.old != nil && f.old.Instead(status, unreachable, f.now())
}

// Send implements exchange.Sink, for the origin.
func (f *Fill) Send(p *exchange.Part) {
	last := p.Last
	if p.Op == exchange.OpCredit { // the request has no body
		p.Release()
		return
	}
	if !f.ended && !p.Interim && f.record(p) {
		return
	}
	if last {
		f.origin.Source = exchange.Memory{}
	}
	x := f.origin.Parent
	if x == nil {
		p.Release()
		return
	}
	if last {
		f.origin.Parent = nil
	}
	x.Sink.Send(p)
}

// record takes a part of an answer that is to be kept, and makes it a copy. done:
// there is nothing more to do with it.
func (f *Fill) record(p *exchange.Part) (done bool) {
	h := &p.Head
	switch {
	case p.First && h.Status == 304 && f.conditional:
		f.confirmed(p)
		return true
	case p.First && f.instead(h.Status, false):
		f.drop(p)
		f.fail()
		return true
	}
	body, ok := f.take(p)
	if !ok {
		f.pass(p.Last)
		return false
	}
	kept := *p
	kept.Owner, kept.Body, kept.Trailers = nil, body, nil // a page has no trailers
	if p.First {
		kept.Head.Fields, kept.Head.Reason = f.page.Fields, bytes.Clone(h.Reason)
		if f.age >= 0 {
			kept.Head.Fields = fmt.Appendf(slices.Clip(f.page.Fields), "Age: %d\r\n", f.age)
		}
		kept.Head.Request, kept.Head.Parsed = nil, nil
	}
	p.Release()
	*p = kept
	if !p.Last {
		return false
	}
	if page := f.Finish(); page != nil {
		f.serve(page, Wait)
	} else {
		f.pass(true)
	}
	return false
}

// take keeps a part of the answer, and returns a copy of its body. !ok: it is not to be kept.
func (f *Fill) take(p *exchange.Part) (body []byte, ok bool) {
	h := p.Head
	switch {
	case p.First && static.IsHandedOver(&f.origin): // files have a cache of their own, and see when a file changes
		f.Refuse(h.Status, f.now())
		return nil, false
	case p.First && (p.Failed || len(h.Channel) > 0 || p.Count > 0):
		f.Refuse(h.Status, f.now())
		return nil, false
	case p.Failed || p.Count > 0:
		f.Refuse(500, f.now())
		return nil, false
	case p.First:
		if h.Status < 100 || h.Status > 999 {
			h.Status, h.Reason = 500, nil
		}
		if h.Length < 0 && p.Last {
			h.Length = int64(len(p.Body))
		}
		if f.begun = f.now(); !f.Begin(&h, f.begun) {
			return nil, false
		}
	}
	return f.Write(p.Body)
}

// pass follows the end of the recording of an answer that is not to be kept: the waiters ask again.
// last: nothing more comes of it.
func (f *Fill) pass(last bool) {
	if f.origin.Parent != nil {
		f.origin.Parent.Fields = Bypass.field()
	}
	f.release((*waiter).askAgain)
	if f.origin.Parent == nil && !last {
		f.origin.Abandon()
	}
}

// confirmed sends the page that the origin has confirmed by p, a 304.
func (f *Fill) confirmed(p *exchange.Part) {
	page, shared := f.Confirm(&p.Head, f.now())
	f.drop(p)
	f.answer(page, Revalidated)
	if shared {
		f.serve(page, Wait)
	} else {
		f.release((*waiter).askAgain)
	}
}

// fail answers the client, and all that wait, with the older page, as there is no other.
func (f *Fill) fail() {
	f.Failed(f.now())
	f.answer(f.old, Stale)
	f.serve(f.old, Stale)
}

// drop gives back the first part of an answer of which nothing is sent.
func (f *Fill) drop(p *exchange.Part) {
	last := p.Last
	p.Release()
	if !last {
		f.origin.Abandon()
	}
	f.origin.Source = exchange.Memory{}
}

// answer sends a page to the client, if there is one.
func (f *Fill) answer(page *Page, v Verdict) {
	if x := f.origin.Parent; x != nil {
		f.origin.Parent = nil
		f.source.pages.send(x, &f.request, page, v)
	}
}

// Reply implements exchange.Sink, for the origin: it has no answer.
func (f *Fill) Reply(r exchange.Reply) {
	f.origin.Source = exchange.Memory{}
	if !f.ended {
		if f.instead(r.Status, r.Status == 502 || r.Status == 504) { // the upstream cannot be reached
			f.fail()
			return
		}
		f.Refuse(r.Status, f.now())
		if r.Status == 504 { // all have waited as long
			f.release(func(w *waiter) { w.x.Answer(exchange.Reply{Status: 504}) })
		}
		f.pass(true)
	}
	if x := f.origin.Parent; x != nil {
		f.origin.Parent = nil
		x.Answer(r)
	}
}

// Start implements exchange.Source, for the client: its turn has come.
func (f *Fill) Start(*exchange.Exchange) { f.origin.TakeTurn() }

// OnGone implements exchange.Source, for the client. The fetch goes on if others wait for the page.
func (f *Fill) OnGone(x *exchange.Exchange) {
	f.origin.Parent = nil
	x.BreakOff()
	if f.waiting.Len() == 0 {
		f.giveUp()
	} else {
		f.origin.TakeTurn() // for the others
	}
}

// giveUp ends a fetch that is for no client any more.
func (f *Fill) giveUp() {
	f.end()
	f.origin.Abandon()
}

// Input implements exchange.Source, for the client: it may have left.
func (f *Fill) Input(_ *exchange.Exchange, in exchange.Input) {
	if f.ended {
		f.origin.Source.Input(&f.origin, in)
	}
}

// beginWait is how long a page that has begun is waited for: it may have no end.
const beginWait = int64(5 * time.Second)

// Tick has the origin answer exchanges that have waited for too long.
func (p *Pages) Tick() {
	for f := range p.Store.fills {
		if f.waiting.Len() > 0 && f.begun > 0 && p.now()-f.begun > beginWait {
			if f.node != nil { // no more requests wait for it
				f.node.pass = p.now() + passFor
			}
			f.release((*waiter).askAgain)
		}
	}
}

// waiter is the Source of an exchange that waits for a page which another one fetches.
type waiter struct {
	exchange.Memory
	source *Source
	x      *exchange.Exchange // nil: its client has left
	f      *Fill              // that it waits for; nil: that is over
	turns  int                // how often it has waited
	place  *list.Element      // in Fill.waiting
}

// maxTurns bounds how often a request waits: pages that differ by what its Vary
// says, or cannot be kept, may disappoint it.
const maxTurns = 3

// wait makes x wait for f.
func (s *Source) wait(x *exchange.Exchange, f *Fill, turns int) {
	x.Keep()
	w := &waiter{source: s, x: x, f: f, turns: turns}
	x.Source = w
	w.place = f.waiting.PushBack(w)
}

// OnGone implements exchange.Source. An origin that fetches the page for
// no client any more is told so.
func (w *waiter) OnGone(x *exchange.Exchange) {
	f := w.f
	w.x, w.f = nil, nil
	x.BreakOff()
	if f == nil {
		return
	}
	f.waiting.Remove(w.place)
	if f.waiting.Len() == 0 && !f.alone && f.origin.Parent == nil {
		f.giveUp()
	}
}

// maxReleased is how many exchanges are answered before the loop looks at other events.
const maxReleased = 100

// release ends that exchanges wait for f, and has answer called for each of them, soon: not now, as a connection that
// breaks meanwhile must not be the one that is worked on.
func (f *Fill) release(answer func(w *waiter)) {
	var all []*waiter
	for e := f.waiting.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*waiter))
		all[len(all)-1].f = nil
	}
	f.waiting.Init()
	f.source.pages.release(all, answer)
}

func (p *Pages) release(all []*waiter, answer func(w *waiter)) {
	now := all[:min(len(all), maxReleased)]
	for _, w := range now {
		p.conns.Soon(func() {
			if w.x != nil {
				answer(w)
			}
		})
	}
	if rest := all[len(now):]; len(rest) > 0 {
		p.conns.Events.Post(func() { p.release(rest, answer) })
	}
}

// serve sends a page to all that wait for f, if it is theirs; the others ask by themselves.
func (f *Fill) serve(page *Page, v Verdict) {
	f.release(func(w *waiter) {
		if v == Stale || f.For(w.x.Req) {
			w.source.pages.send(w.x, w.x.Req, page, v)
			return
		}
		w.askAgain()
	})
}

// askAgain has the exchange ask for its page by itself.
func (w *waiter) askAgain() { w.source.lookup(w.x, w.turns) }
