package cache

import (
	"bytes"
	"container/list"
	"fmt"
	"slices"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func (s *Source) fetch(x *exchange.Exchange, found Found) {
	f := s.newFetch(x, found)
	x.SetSource(f, "")
	x.MergeFields(statusFields[found.CacheStatus])
	f.ask()
	if f.sub.Parent != nil {
		x.SetSource(x.Source, f.origin.By)
	}
}

func (s *Source) newFetch(x *exchange.Exchange, found Found) *Fill {
	f, r := found.Fill, *x.Req
	f.source, f.depth = s, r.Depth()
	f.sub.Parent = x
	f.requestID = http1.OwnIdentity(r.Head, r.Parsed, r.Own).Request
	f.origin = x.Sub(&r, s.origin, f, &f.sub)
	var conditions []byte
	if found.Page != nil {
		conditions = found.Page.Conditions()
	}
	// If the head has no room for the conditions, the request is sent without conditions.
	if f.conditional = len(conditions) > 0 && condition(&r, s.pages.limits, conditions); !f.conditional {
		condition(&r, s.pages.limits, nil)
	}
	return f
}

func (f *Fill) ask() {
	f.origin.Lend(f.origin.Req, func() { f.source.origin.Start(&f.origin) })
}

// condition replaces the client's conditional fields in a request with conditions, and Accept-Encoding with the codings
// that are part of the key. If the head would exceed a limit, ok is false, and the request is unchanged.
func condition(r *exchange.Request, limits *http1.Limits, conditions []byte) (ok bool) {
	line, fields, _ := bytes.Cut(r.Head, crlf)
	kept := fields
	for _, name := range conditionals {
		kept = http1.WithoutField(kept, name)
	}
	if saysMore(r) {
		kept = http1.WithoutField(kept, []byte("Accept-Encoding"))
		conditions = slices.Concat(conditions, []byte("Accept-Encoding: "),
			bytes.TrimSuffix(appendCodings(nil, r), []byte{','}), crlf)
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
	requestID    = []byte("X-Request-Id")
	conditionals = [...][]byte{[]byte("If-None-Match"), []byte("If-Modified-Since"), []byte("If-Range")}
)

func (f *Fill) now() int64 { return f.source.pages.now() }

// instead reports whether the older page replaces a response with this status.
func (f *Fill) instead(status int, unreachable bool) bool {
	return f.old != nil && f.old.Instead(status, unreachable, f.now())
}

func (f *Fill) Send(p *exchange.Part) {
	last := p.Last()
	// the request to the origin has no body, so ignore OpCredit, which permits sending more of the body
	if p.Op == exchange.OpCredit {
		p.Release()
		return
	}
	if !f.ended && !p.Interim && f.record(p) {
		return
	}
	if last {
		f.origin.SetSource(exchange.Memory{}, "")
	}
	x := f.sub.Parent
	if x == nil {
		p.Release()
		return
	}
	if last {
		f.sub.Parent = nil
	}
	// If f does not record the response, the origin must be as slow as the client.
	if f.ended {
		f.origin.Out.Begin()
	}
	x.Sink.Send(p)
}

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
		f.pass(p.Last())
		return false
	}
	kept := *p
	kept.Owner, kept.Body, kept.Trailers = nil, body, nil // the recorded page has no trailers
	if p.First {
		kept.Head.Fields, kept.Head.Reason = f.page.Fields, bytes.Clone(h.Reason)
		if f.age >= 0 {
			kept.Head.Fields = fmt.Appendf(slices.Clip(f.page.Fields), "Age: %d\r\n", f.age)
		}
	}
	p.Release()
	*p = kept
	if !p.Last() {
		return false
	}
	if page := f.Finish(); page != nil {
		f.serve(page, Wait)
	} else {
		f.pass(true)
	}
	return false
}

// take records a part of the response and returns a permanent copy of its body, or false if the response will not be
// kept.
func (f *Fill) take(p *exchange.Part) (body []byte, ok bool) {
	h := p.Head
	switch {
	// do not record files, because package static has its own cache
	case p.First && (p.End == exchange.Incomplete || h.Then != nil || p.File != nil):
		f.refuse(false, h.Status, f.now())
		return nil, false
	case p.End == exchange.Incomplete || p.File != nil:
		f.refuse(false, 500, f.now())
		return nil, false
	case p.First:
		if h.Length < 0 && p.Last() {
			h.Length = int64(len(p.Body))
		}
		if f.requestID != "" && http1.FieldValue(h.Fields, requestID) == f.requestID {
			// do not store the request ID, which differs for each request
			h.Fields = http1.WithoutField(h.Fields, requestID)
		}
		if !f.Begin(&h, f.now()) {
			return nil, false
		}
	}
	return f.Write(p.Body)
}

// pass is called when the response will not be kept, and sends each waiting request to the origin; last is true if the
// response has ended.
func (f *Fill) pass(last bool) {
	if f.sub.Parent != nil {
		f.sub.Parent.MergeFields(statusFields[Bypass])
	}
	f.release((*waiter).askAgain)
	if f.sub.Parent == nil && !last {
		f.origin.Abandon()
	}
}

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

func (f *Fill) fail() {
	f.Failed(f.now())
	f.answer(f.old, Stale)
	f.serve(f.old, Stale)
}

func (f *Fill) drop(p *exchange.Part) {
	last := p.Last()
	p.Release()
	if !last {
		f.origin.Abandon()
	}
	f.origin.SetSource(exchange.Memory{}, "")
}

func (f *Fill) answer(page *Page, status CacheStatus) {
	if x := f.sub.Parent; x != nil {
		f.sub.Parent = nil
		f.source.pages.send(x, &f.request, page, status)
	}
}

func (f *Fill) Reply(r exchange.Reply) {
	f.origin.SetSource(exchange.Memory{}, "")
	if !f.ended {
		if f.instead(r.Status, r.Status == 502 || r.Status == 504) { // upstream unreachable
			f.fail()
			return
		}
		f.refuse(false, r.Status, f.now())
		// the waiting requests would only wait for this origin again, so they also get 504
		if r.Status == 504 {
			f.release(func(w *waiter) { w.x.Answer(exchange.Reply{Status: 504}) })
		}
		f.pass(true)
	}
	if x := f.sub.Parent; x != nil {
		f.sub.Parent = nil
		x.Answer(r)
	}
}

func (f *Fill) Start(*exchange.Exchange) { f.origin.TakeTurn() }

// OnGone is called when the client has disconnected, and lets the fetch continue if other clients wait for the page.
func (f *Fill) OnGone(x *exchange.Exchange) {
	f.sub.Parent = nil
	x.Stop(true)
	if f.waiting.Len() == 0 {
		f.giveUp()
	} else {
		f.origin.TakeTurn() // makes the origin continue, because other clients wait
	}
}

func (f *Fill) giveUp() {
	f.end()
	f.origin.Abandon()
}

func (f *Fill) Input(_ *exchange.Exchange, input exchange.Input) {
	if f.ended {
		f.origin.Source.Input(&f.origin, input)
	}
}

// beginWait is how long requests wait for the rest of a page after its head has arrived, because the page may be
// endless.
const beginWait = int64(5 * time.Second)

func (p *Pages) Tick() {
	for f := range p.Store.fills {
		if f.waiting.Len() > 0 && f.page != nil && p.now()-f.page.since > beginWait {
			if f.node != nil { // later requests must not wait for f
				f.node.pass = p.now() + passFor
			}
			f.release((*waiter).askAgain)
		}
	}
}

type waiter struct {
	exchange.Memory
	source *Source
	x      *exchange.Exchange // nil if the client has disconnected
	f      *Fill              // the Fill that x waits for; nil after the wait
	turns  int
	place  *list.Element
}

// maxTurns limits how many fetches a request waits for, because the page of each fetch may turn out to be uncacheable
// or, because of Vary, unsuitable for the request.
const maxTurns = 3

func (s *Source) wait(x *exchange.Exchange, f *Fill, turns int) {
	x.Keep()
	w := &waiter{source: s, x: x, f: f, turns: turns}
	x.SetSource(w, "")
	w.place = f.waiting.PushBack(w)
}

// OnGone is called when the waiting client has disconnected, and cancels the fetch if no other client waits for the
// page.
func (w *waiter) OnGone(x *exchange.Exchange) {
	f := w.f
	w.x, w.f = nil, nil
	x.Stop(true)
	if f == nil {
		return
	}
	f.waiting.Remove(w.place)
	if f.waiting.Len() == 0 && !f.alone && f.sub.Parent == nil {
		f.giveUp()
	}
}

const maxReleased = 100

// release ends the wait of all exchanges that wait for f, and makes the event loop call answer for each of them soon.
// It does not call answer itself, because answer may close the connection that the loop is handling.
func (f *Fill) release(answer func(w *waiter)) {
	var all []*waiter
	for e := f.waiting.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*waiter))
		all[len(all)-1].f = nil
	}
	f.waiting.Init()
	f.source.pages.release(all, answer)
}

func (p *Pages) release(waiters []*waiter, answer func(w *waiter)) {
	now := waiters[:min(len(waiters), maxReleased)]
	for _, w := range now {
		if w.x == nil {
			continue
		}
		p.conns.Soon(w.x.Conn(), func() {
			if w.x != nil {
				answer(w)
			}
		})
	}
	if rest := waiters[len(now):]; len(rest) > 0 {
		p.conns.Events.Post(func() { p.release(rest, answer) })
	}
}

func (f *Fill) serve(page *Page, status CacheStatus) {
	f.release(func(w *waiter) {
		if status == Stale || f.For(w.x.Req) {
			w.source.pages.send(w.x, w.x.Req, page, status)
			return
		}
		w.askAgain()
	})
}

func (w *waiter) askAgain() { w.source.lookup(w.x, w.turns) }
