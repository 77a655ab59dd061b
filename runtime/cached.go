package runtime

import (
	"fmt"
	"strconv"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/compress"
	"fapws/runtime/http1"
	"fapws/runtime/route"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/static"
)

// The cache of answers, as the loop uses it: what is kept and for whom is
// decided in package cache. A page that is there is sent like an answer of the
// loop's own. The first request for one that is not there fetches it: the parts
// of the answer go to that client as always, and a copy of them into a Fill
// (cacheFill). Requests that come meanwhile wait for the whole page (cacheWaiter).

// cacheField names the field that says where an answer comes from.
const cacheField = "Fapws-Cache: "

// cacheSource answers exchanges with pages of the cache, or has the handlers of their mounts make them.
type cacheSource struct {
	store   *cache.Store            // nil: nothing is kept
	waited  map[*cacheFill]struct{} // pages that exchanges wait for
	retries []*cacheWaiter          // that go on, with a page or without
	part    exchange.Part           // memory of sendPage
}

// cacheState is what the cache knows of an exchange.
type cacheState struct {
	wait *cacheWaiter // it waits for a page that another exchange fetches
	fill *cacheFill   // the parts of its handler are kept, too

	cacheStatus     cache.Verdict
	sendCacheStatus bool // the client is sent it

	invalidates *cache.Pattern // pages that are out of date if its answer is no error
}

// Start implements exchange.Source. The request of x is whole, and made for a handler.
func (s *cacheSource) Start(x *exchange.Exchange) {
	y := of(x)
	y.l.lookup(y)
}

// OnRoom implements exchange.Source.
func (s *cacheSource) OnRoom(x *exchange.Exchange) {}

// OnGone implements exchange.Source.
func (s *cacheSource) OnGone(x *exchange.Exchange) {
	y := of(x)
	y.l.waitEnds(y)
	y.end()
}

// lookup answers x from the cache, or has it answered by the handler of its mount.
func (l *loop) lookup(x *Exchange) {
	q := x.req
	r, m, asked := &q.handed, q.mount, &q.lookup
	if !cacheable(r.Parsed, r.Size) || r.Value != nil {
		if !r.Parsed.Safe {
			x.invalidates = pageOf(r)
		}
		l.hand(x)
		return
	}
	*asked = cache.Request{Head: r.Head, Parsed: r.Parsed, Path: r.Path, Root: r.Path[:r.Root], Scheme: r.Peer.Scheme}
	if asked.Scheme == "" {
		asked.Scheme = "http"
	}
	if host := r.Peer.Host; host != "" {
		q.host = append(q.host[:0], host...)
		asked.Host = q.host
	} else {
		asked.Host = r.Parsed.Host.In(r.Head)
		if r.Parsed.Authority.Len > 0 {
			asked.Host = r.Parsed.Authority.In(r.Head)
		}
	}
	found := l.pages.store.Look(m.Cache, asked, l.wall())
	x.cacheStatus, x.sendCacheStatus = found.Verdict, true
	switch found.Verdict {
	case cache.Hit, cache.Stale:
		if found.Fill != nil {
			q.keep()
		}
		rules := x.rules
		l.sendFound(x, found.Page, found.Verdict)
		if found.Fill != nil {
			l.conns.Flush() // before anything else, as the handler may run on the loop
			l.refresh(q, found, rules)
		}
	case cache.Miss, cache.Expired:
		l.startFill(x, found)
	case cache.Wait:
		f := found.Fill.Owner.(*cacheFill)
		q.turns++
		// An inner request may be one that the page itself, or another page that
		// waits, cannot do without. Waiting only for what is not further out, all
		// come to an end.
		if q.turns > maxTurns || f.depth < r.Depth {
			x.cacheStatus = cache.Bypass
			l.hand(x)
			return
		}
		l.wait(x, f)
	default:
		l.hand(x)
	}
}

// sendFound answers x with p, in the form that its client prefers, or with the part of p that it asks for.
func (l *loop) sendFound(x *Exchange, p *cache.Page, said cache.Verdict) {
	asked := &x.req.lookup
	if p.Unchanged(asked) {
		l.sendPage(x, p, said, pagePart{unchanged: true})
		return
	}
	if wanted := p.Range(asked); wanted != nil {
		size := int64(len(p.Body))
		from, count, ok := static.OneRange(wanted, size)
		if ok && count == 0 {
			x.Reply(exchange.Reply{Status: 416, Fields: fmt.Appendf(nil, "Content-Range: bytes */%d\r\n", size)})
			return
		}
		if count > 0 {
			l.sendPage(x, p, said, pagePart{from: from, count: count})
			return
		}
	}
	p, wanted := p.Coded(asked)
	if wanted != compress.Identity {
		l.compress(p, wanted)
	}
	l.sendPage(x, p, said, pagePart{})
}

// compress makes another form of a page, beside the loop.
func (l *loop) compress(p *cache.Page, c compress.Coding) {
	go func() {
		body, ok := compress.Compress(c, p.Body)
		l.post(func() { l.pages.store.SetCoded(p, c, body, ok) })
	}()
}

// cacheable reports whether a request is one that pages are kept for.
func cacheable(r *http1.Request, size int64) bool {
	return r.Safe && (r.Head || r.Method.Len == 3) && size == 0 && !r.Upgrade && (r.Host.Len > 0 || r.Authority.Len > 0)
}

// wall returns the time in nanoseconds since 1970, at most tickLength late.
func (l *loop) wall() int64 { return l.conns.Start().UnixNano() + l.now() }

// pagePart is what of a page is sent. The zero value is all of it.
type pagePart struct {
	from, count int64 // first byte and how many bytes; all if count is 0
	unchanged   bool  // nothing: the client has it
}

// sendPage answers x with a page.
func (l *loop) sendPage(x *Exchange, page *cache.Page, said cache.Verdict, part pagePart) {
	x.Source, x.cacheStatus, x.sendCacheStatus, x.phase = exchange.Memory{}, said, true, answering
	p := &l.pages.part
	*p = exchange.Part{First: true, Last: true, File: -1, Body: page.Body}
	h := &p.Head
	h.Status, h.Reason, h.ContentType, h.Length = page.Status, page.Reason, page.Type, int64(len(page.Body))
	h.HasDate, h.HasServer = page.HasDate, page.HasServer
	fields := page.Fields
	switch {
	case part.count > 0:
		p.Body = page.Body[part.from : part.from+part.count]
		h.Status, h.Reason, h.Length = 206, nil, part.count
	case part.unchanged:
		h.Status, h.Reason, h.ContentType, h.Length, p.Body = 304, nil, "", 0, nil
		fields = page.Slim()
	}
	var memory []byte // for as long as the part has to wait
	if x.conn.first == x && !x.conn.Writing() {
		memory = l.heads.fields[:0]
	}
	memory = append(append(memory, fields...), "Age: "...)
	memory = strconv.AppendInt(memory, page.Age(l.wall()), 10)
	memory = append(memory, '\r', '\n')
	if part.count > 0 {
		memory = static.AppendContentRange(memory, part.from, part.count, int64(len(page.Body)))
	}
	h.Fields = memory
	x.Send(p)
}

func appendSaid(dst []byte, v cache.Verdict) []byte {
	if v == cache.Wait {
		v = cache.Hit // it was there when the client got it
	}
	dst = append(append(dst, cacheField...), v.String()...)
	return append(dst, '\r', '\n')
}

// pageOf is what a request that changes a page makes out of date (RFC 9111
// §4.4).
func pageOf(r *exchange.Request) *cache.Pattern {
	p := &cache.Pattern{Exact: true, Path: string(route.AppendPath(nil, http1.MergeSlashes(nil, r.Path))), Host: r.Peer.Host}
	if p.Host == "" {
		p.Host = string(r.Parsed.Host.In(r.Head))
	}
	return p
}

// invalidate carries out what pageOf has found, when the answer is no error.
func (l *loop) invalidate(x *Exchange, status int) {
	p := x.invalidates
	x.invalidates = nil
	if status >= 200 && status < 400 && l.pages.store != nil {
		l.pages.store.PurgeNow(*p)
		if l.cfg.Purged != nil {
			l.cfg.Purged(*p)
		}
	}
}

// Purge throws pages out of the cache, before another request is answered from
// it. Any goroutine; it does not wait.
func (s *Server) Purge(p cache.Pattern) {
	if store := s.store.Load(); store != nil {
		store.Purge(p)
	}
}

// PurgeNow is Purge and returns how many pages went, or -1 if the loop does not
// say so soon: a handler may be holding it up. Not on the loop.
func (s *Server) PurgeNow(p cache.Pattern) int {
	store := s.store.Load()
	if store == nil {
		return 0
	}
	said := make(chan int, 1)
	s.loop.post(func() { said <- store.PurgeNow(p) })
	select {
	case n := <-said:
		return n
	case <-time.After(purgedWithin):
		return -1
	}
}

const purgedWithin = 2 * time.Second

// CacheStats says what the cache is like, and false if there is none or the loop
// does not say so at once. Not on the loop.
func (s *Server) CacheStats() (st cache.Stats, ok bool) {
	store := s.store.Load()
	if store == nil {
		return st, false
	}
	said := make(chan cache.Stats, 1)
	s.loop.post(func() { said <- store.Stats() })
	select {
	case st = <-said:
		return st, true
	case <-time.After(countedWithin):
		return st, false
	}
}
