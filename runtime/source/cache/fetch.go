package cache

import (
	"bytes"
	"slices"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// fetch has the origin make a page. It is a separate exchange, whose Sink it is: it records the response, and
// passes it on to the client that has asked for the page. The origin never waits for that client: parts are copied and
// released at once, because one slow client would otherwise delay all that wait for the page.
//
// To the client's exchange it is the Source.
type fetch struct {
	source      *Source
	fill        *Fill
	origin      exchange.Exchange // the request to the origin; its Parent gets the parts; nil: it has left, or was answered, or no client has asked
	conditional bool              // the origin is asked to confirm the older page of fill
	waiting     []*waiter
	begun       int64 // Pages.now when the head came
	depth       int   // of its request

	alone bool // no client has asked for it: a stale page is replaced
}

// fetch has x answered by the origin, and the response kept.
func (s *Source) fetch(x *exchange.Exchange, found Found) {
	f := s.newFetch(x, found)
	x.Source, x.Fields = f, found.Verdict.field()
	f.start()
	if f.origin.Parent != nil {
		x.By = f.origin.By
	}
}

// refresh returns what fetches a new page for found, for no client, as x has asked.
func (s *Source) refresh(x *exchange.Exchange, found Found) *fetch {
	f := s.newFetch(x, found)
	f.alone, f.origin.Parent = true, nil
	return f
}

// newFetch makes the request of x the one that is asked for found.
func (s *Source) newFetch(x *exchange.Exchange, found Found) *fetch {
	r := x.Req
	f := &fetch{source: s, fill: found.Fill, depth: r.Depth}
	f.fill.owner = f
	f.origin = x.Sub(r, s.origin, f)
	f.origin.Recorded = true
	var conditions []byte
	if found.Page != nil {
		conditions = found.Page.Conditions()
	}
	// A head that has no room for them is sent without them.
	limits := s.pages.limits
	if f.conditional = len(conditions) > 0 && condition(r, limits, conditions); !f.conditional && !condition(r, limits, nil) {
		panic("a head is longer without some of its fields") // it was parsed before
	}
	return f
}

// start asks the origin.
func (f *fetch) start() {
	f.source.origin.Start(&f.origin)
	f.origin.Req = nil
}

// condition removes from a request the fields that make its answer depend on what the
// client has already, and adds conditions. ok is false if the head exceeds a limit then; nothing has changed.
func condition(r *exchange.Request, limits *http1.Limits, conditions []byte) (ok bool) {
	head, parsed := r.Head, r.Parsed
	drops := slices.ContainsFunc(parsed.Fields, func(f http1.Field) bool { return conditionalName(f.Name.In(head)) })
	if !drops && len(conditions) == 0 {
		return true
	}
	bare := make([]byte, 0, len(head)+len(conditions))
	line, rest, _ := bytes.Cut(head, crlf)
	bare = append(append(append(bare, line...), crlf...), conditions...)
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlf)
		name, _, _ := bytes.Cut(line, []byte{':'})
		if !conditionalName(name) {
			bare = append(append(bare, line...), crlf...)
		}
	}
	changed := new(http1.Request)
	if changed.ParseWhole(bare, limits) != nil {
		return false
	}
	r.Head, r.Parsed = bare, changed
	return true
}

var crlf = []byte("\r\n")

func conditionalName(name []byte) bool {
	return bytes.EqualFold(name, []byte("If-None-Match")) || bytes.EqualFold(name, []byte("If-Modified-Since")) ||
		bytes.EqualFold(name, []byte("If-Range"))
}

// instead reports whether the older page is to be sent in place of an answer with that status. unreachable says that there is
// none.
func (f *fetch) instead(status int, unreachable bool) bool {
	old := f.fill.old
	return old != nil && old.Instead(status, unreachable, f.source.pages.now())
}

// Send implements exchange.Sink, for the origin.
func (f *fetch) Send(p *exchange.Part) {
	last := p.Last
	if p.Op == exchange.OpCredit { // the request has no body
		p.Release()
		return
	}
	if !f.fill.ended && !p.Interim && f.record(p) {
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
func (f *fetch) record(p *exchange.Part) (done bool) {
	h := &p.Head
	if p.First {
		_, handedOver := f.origin.Source.(exchange.Memory) // to files: they have a cache of their own, and see when a file changes
		switch {
		case h.Status == 304 && f.conditional:
			f.confirmed(p)
			return true
		case f.instead(h.Status, false):
			f.drop(p)
			f.fail()
			return true
		case p.Failed || len(h.Channel) > 0 || p.Count > 0 || handedOver:
			f.fill.Refuse(h.Status, f.source.pages.now())
			f.pass(p.Last)
			return false
		case !f.begin(p):
			f.pass(p.Last)
			return false
		}
	}
	if p.Failed || p.Count > 0 {
		f.fill.Refuse(500, f.source.pages.now())
		f.pass(p.Last)
		return false
	}
	body, ok := f.fill.Write(p.Body)
	if !ok {
		f.pass(p.Last)
		return false
	}
	kept := *p
	kept.Owner, kept.Body, kept.Trailers = nil, body, nil // a page has no trailers
	if p.First {
		kept.Head.Fields, kept.Head.Reason = f.fill.Fields(), bytes.Clone(h.Reason)
		kept.Head.Request, kept.Head.Parsed = nil, nil
	}
	p.Release()
	*p = kept
	if p.Last {
		f.finish()
	}
	return false
}

// begin begins to keep the answer with the head of p, if it may be kept.
func (f *fetch) begin(p *exchange.Part) bool {
	h := p.Head
	if h.Status < 100 || h.Status > 999 {
		h.Status, h.Reason = 500, nil
	}
	if h.Length < 0 && p.Last {
		h.Length = int64(len(p.Body))
	}
	f.begun = f.source.pages.now()
	return f.fill.Begin(&h, f.source.pages.now())
}

// finish ends a fetch whose answer is whole.
func (f *fetch) finish() {
	page := f.fill.Finish()
	if page == nil {
		f.pass(true)
		return
	}
	f.serve(page, Wait)
}

// pass follows the end of the recording of an answer that is not to be kept: the waiters ask again.
// last: nothing more comes of it.
func (f *fetch) pass(last bool) {
	if f.origin.Parent != nil {
		f.origin.Parent.Fields = Bypass.field()
	}
	f.take((*waiter).askAgain)
	if f.origin.Parent == nil && !last {
		f.origin.Abandon()
	}
}

// confirmed sends the page that the origin has confirmed by p, a 304.
func (f *fetch) confirmed(p *exchange.Part) {
	page, shared := f.fill.Confirm(&p.Head, f.source.pages.now())
	f.drop(p)
	f.answer(page, Revalidated)
	if shared {
		f.serve(page, Wait)
	} else {
		f.take((*waiter).askAgain)
	}
}

// fail answers the client, and all that wait, with the older page, as there is no other.
func (f *fetch) fail() {
	f.fill.Failed(f.source.pages.now())
	f.answer(f.fill.old, Stale)
	f.serve(f.fill.old, Stale)
}

// drop gives back the first part of an answer of which nothing is sent.
func (f *fetch) drop(p *exchange.Part) {
	last := p.Last
	p.Release()
	if !last {
		f.origin.Abandon()
	}
	f.origin.Source = exchange.Memory{}
}

// answer sends a page to the client, if there is one.
func (f *fetch) answer(page *Page, v Verdict) {
	if x := f.origin.Parent; x != nil {
		f.origin.Parent = nil
		f.source.pages.send(x, &f.fill.request, page, v)
	}
}

// Reply implements exchange.Sink, for the origin: it has no answer.
func (f *fetch) Reply(r exchange.Reply) {
	f.origin.Source = exchange.Memory{}
	if !f.fill.ended {
		if f.instead(r.Status, r.Status == 502 || r.Status == 504) { // the upstream cannot be reached
			f.fail()
			return
		}
		f.fill.Refuse(r.Status, f.source.pages.now())
		if r.Status == 504 { // all have waited as long
			f.take(func(w *waiter) { w.x.Answer(exchange.Reply{Status: 504}) })
		}
		f.pass(true)
	}
	if x := f.origin.Parent; x != nil {
		f.origin.Parent = nil
		x.Answer(r)
	}
}

// Start implements exchange.Source, for the client: its turn has come.
func (f *fetch) Start(*exchange.Exchange) { f.origin.TakeTurn() }

// OnGone implements exchange.Source, for the client. The fetch goes on if others wait for the page.
func (f *fetch) OnGone(x *exchange.Exchange) {
	f.origin.Parent = nil
	x.BreakOff()
	if len(f.waiting) == 0 {
		f.leave()
	} else {
		f.origin.TakeTurn() // for the others
	}
}

// leave ends a fetch that is for no client any more.
func (f *fetch) leave() {
	f.fill.end()
	f.origin.Abandon()
}

// Input implements exchange.Source, for the client: it may have left.
func (f *fetch) Input(_ *exchange.Exchange, in exchange.Input) {
	if f.fill.ended {
		f.origin.Source.Input(&f.origin, in)
	}
}

// beginWait is how long a page that has begun is waited for: it may have no end.
const beginWait = int64(5 * time.Second)

// Tick has the origin answer exchanges that have waited for too long.
func (p *Pages) Tick() {
	for fill := range p.Store.fills {
		if f := fill.owner; len(f.waiting) > 0 && f.begun > 0 && p.now()-f.begun > beginWait {
			fill.Hurry(p.now())
			f.take((*waiter).askAgain)
		}
	}
}
