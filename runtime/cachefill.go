package runtime

import (
	"bytes"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/cache"
)

// cacheFill is an exchange whose answer is to be kept. The handler never waits for
// the client of it: its parts are copied and released at once, as one slow
// client would otherwise hold up all who wait for the page.
type cacheFill struct {
	fill        *cache.Fill
	x           *Exchange   // nil: not yet submitted
	page        *cache.Page // an older one, or nil
	conditional bool        // the handler is asked to confirm it
	waiting     []*cacheWaiter
	begun       int64 // loop.now when the head came
	depth       int   // of its request
	alone       bool  // no client has asked for it: a stale page is fetched anew
}

// startFill has x answered by the handler of its mount, and the answer kept.
func (l *loop) startFill(x *Exchange, found cache.Found) {
	r := &x.req.handed
	f := l.newFill(r, found)
	f.x = x
	x.Source, x.handler = x.req.mount.Source, x.req.mount.Handler
	if l.give(x, r) {
		x.fill = f
		return
	}
	if f.instead(l, 503, false) {
		f.fill.Failed(l.wall())
		l.sendPage(x, f.page, cache.Stale, pagePart{})
		return
	}
	f.fill.Abandon(l.wall())
	x.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
}

// newFill makes r the request that is asked for found.
func (l *loop) newFill(r *exchange.Request, found cache.Found) *cacheFill {
	f := &cacheFill{fill: found.Fill, page: found.Page, depth: r.Depth}
	f.fill.Owner = f
	var conditions []byte
	if f.page != nil {
		conditions = f.page.Conditions()
	}
	// A head that has no room for them is sent without them.
	if f.conditional = len(conditions) > 0 && l.condition(r, conditions); !f.conditional && !l.condition(r, nil) {
		panic("a head is longer without some of its fields") // it was parsed before
	}
	return f
}

// refresh fetches a new page for found, for no client, as q has asked.
func (l *loop) refresh(q *request, found cache.Found, rules *rules) {
	f := l.newFill(&q.handed, found)
	f.alone = true
	x := l.exchanges.get()
	x.minor, x.safe, x.rules, x.phase = 1, true, rules, answering
	f.x = x
	x.Source, x.handler = q.mount.Source, q.mount.Handler
	if l.give(x, &q.handed) {
		x.fill = f
		l.countOrphan(x)
	} else {
		f.fill.Abandon(l.wall())
		l.askAgain(f)
		l.exchanges.put(x)
	}
}

// instead reports whether the older page is to be sent in place of an answer with that status. unreachable says that there is
// none.
func (f *cacheFill) instead(l *loop, status int, unreachable bool) bool {
	return f.page != nil && f.page.Instead(status, unreachable, l.wall())
}

// condition takes out of a request what makes its answer depend on what the
// client has already, and adds conditions. ok is false if the head exceeds a limit then; nothing has changed.
func (l *loop) condition(r *exchange.Request, conditions []byte) (ok bool) {
	head, parsed := r.Head, r.Parsed
	drops := false
	for _, f := range parsed.Fields {
		drops = drops || conditional(f, head)
	}
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
	if _, err := changed.Parse(bare, &l.cfg.Limits); err != nil {
		return false
	}
	r.Head, r.Parsed = bare, changed
	return true
}

func conditional(f http1.Field, head []byte) bool {
	switch f.Name.Len {
	case 8, 13, 17:
		return conditionalName(f.Name.In(head))
	}
	return false
}

func conditionalName(name []byte) bool {
	return bytes.EqualFold(name, []byte("If-None-Match")) || bytes.EqualFold(name, []byte("If-Modified-Since")) ||
		bytes.EqualFold(name, []byte("If-Range"))
}

// record takes a part of an answer that is to be kept, and makes it a copy. done:
// there is nothing more to do with it.
func (l *loop) record(x *Exchange, p *exchange.Part) (done bool) {
	f := x.fill
	h := &p.Head
	if p.First {
		if h.Status == 304 && f.conditional {
			l.confirmed(x, p)
			return true
		}
		if f.instead(l, h.Status, h.Refusal && (h.Status == 502 || h.Status == 504)) { // the upstream cannot be reached
			l.sendInstead(x, p)
			return true
		}
		if h.Refusal || p.Failed || len(h.Static)+len(h.SendFile)+len(h.Channel) > 0 || fileBytes(p) > 0 {
			f.fill.Refuse(h.Status, l.wall())
			l.notCacheable(x, p.Last)
			return false
		}
		r := http1.Response{}
		fill(&r, h)
		length := r.Length
		if length < 0 && p.Last {
			length = int64(len(p.Body))
		}
		if !f.fill.Begin(&cache.Head{
			Answer:    cache.Answer{Status: r.Status, Fields: h.Fields, Length: length},
			Reason:    r.Reason,
			Type:      r.Type,
			HasDate:   r.HasDate,
			HasServer: r.HasServer,
		}, l.wall()) {
			l.notCacheable(x, p.Last)
			return false
		}
		f.begun = l.now()
	}
	if fileBytes(p) > 0 || p.Failed {
		f.fill.Abandon(l.wall())
		l.notCacheable(x, p.Last)
		return false
	}
	body, ok := f.fill.Write(p.Body)
	if !ok {
		l.notCacheable(x, p.Last)
		return false
	}
	kept := *p
	kept.Owner, kept.Body = nil, body
	if p.First {
		kept.Head.Fields, kept.Head.Reason, kept.Head.Name = f.fill.Fields(), bytes.Clone(h.Reason), bytes.Clone(h.Name)
		kept.Head.Request, kept.Head.Parsed = nil, nil
	}
	x.handler.Release(p)
	*p = kept
	if p.Last {
		l.fillDone(x)
	}
	return false
}

// fillDone ends a fill whose answer is whole.
func (l *loop) fillDone(x *Exchange) {
	f := x.fill
	page := f.fill.Finish()
	if page == nil {
		l.notCacheable(x, true)
		return
	}
	x.fill = nil
	l.serveWaiting(f, page, cache.Wait)
}

// notCacheable ends a fill whose answer is not to be kept: the waiters ask again.
// last: nothing more comes of it.
func (l *loop) notCacheable(x *Exchange, last bool) {
	f := x.fill
	x.fill = nil
	if x.cacheStatus == cache.Miss || x.cacheStatus == cache.Expired {
		x.cacheStatus = cache.Bypass
	}
	l.askAgain(f)
	if x.conn == nil && !last {
		l.giveUp(x)
	}
}

// giveUp tells the handler of x that nobody waits for it.
func (l *loop) giveUp(x *Exchange) {
	x.handler.Cancel(x.ticket)
	l.submitted = true
}

// confirmed sends the page that the handler has confirmed by p, a 304.
func (l *loop) confirmed(x *Exchange, p *exchange.Part) {
	f, h := x.fill, &p.Head
	x.fill = nil
	page, shared := f.fill.Confirm(&cache.Head{Answer: cache.Answer{Fields: h.Fields}, HasDate: h.HasDate, HasServer: h.HasServer}, l.wall())
	l.answerWith(x, p, page, f, cache.Revalidated)
	if shared {
		l.serveWaiting(f, page, cache.Wait)
	} else {
		l.askAgain(f)
	}
}

// sendInstead sends the older page to x and to all who wait, as p is an error.
func (l *loop) sendInstead(x *Exchange, p *exchange.Part) {
	f := x.fill
	x.fill = nil
	f.fill.Failed(l.wall())
	l.answerWith(x, p, f.page, f, cache.Stale)
	l.serveWaiting(f, f.page, cache.Stale)
}

// answerWith sends a page to x in the place of p, the first part of the handler's answer.
func (l *loop) answerWith(x *Exchange, p *exchange.Part, page *cache.Page, f *cacheFill, said cache.Verdict) {
	y := x
	switch {
	case x.conn == nil:
		if p.Last {
			l.uncountOrphan(x)
		} else {
			l.giveUp(x)
		}
		l.release(p)
		return
	case p.Last:
		x.handler.Release(p) // the ticket stays taken until the page is sent
	default:
		y = x.substitute()
		l.release(p)
		l.giveUp(x)
	}
	l.sendPage(y, page, said, pagePart{unchanged: page.Unchanged(f.fill.Request())})
}

// fillOverdue is for a fill that takes longer than Config.Timeout. It reports whether y, which stands for x before its client,
// if there is one, has been answered.
func (l *loop) fillOverdue(x, y *Exchange) (answered bool) {
	f := x.fill
	x.fill = nil
	if f.instead(l, 504, true) {
		f.fill.Failed(l.wall())
		if y != nil {
			l.sendPage(y, f.page, cache.Stale, pagePart{})
		}
		l.serveWaiting(f, f.page, cache.Stale)
		return y != nil
	}
	f.fill.Abandon(l.wall())
	l.failWaiting(f)
	return false
}

// keptAlive says whether x, whose client has left, goes on: others wait for it.
func (l *loop) keptAlive(x *Exchange) bool {
	f := x.fill
	if len(f.waiting) > 0 {
		l.countOrphan(x)
		return true
	}
	x.fill = nil
	f.fill.Leave()
	return false
}

// beginWait is how long a page that has begun is waited for: it may have no end.
const beginWait = 5 * time.Second

// releaseWaiters sends those to the handler who have waited for too long.
func (l *loop) releaseWaiters() {
	for f := range l.pages.waited {
		if f.begun > 0 && l.now()-f.begun > int64(beginWait) {
			f.fill.Hurry(l.wall())
			l.askAgain(f)
		}
	}
}
