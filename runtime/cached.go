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
	"fapws/runtime/source/refusal"
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
}

// cacheState is what the cache knows of an exchange.
type cacheState struct {
	page        *cache.Page  // the response, or a part of it
	from, count int64        // first byte of the page that is sent, and how many; all if count is 0
	unchanged   bool         // the client has the page
	wait        *cacheWaiter // it waits for a page that another exchange fetches
	fill        *cacheFill   // the parts of its handler are kept, too

	cacheStatus     cache.Verdict
	sendCacheStatus bool // the client is sent it

	invalidates *cache.Pattern // pages that are out of date if its answer is no error
}

// start implements source. The request of x is whole, and made for a handler.
func (s *cacheSource) start(l *loop, x *Exchange, rest []byte) (used int) {
	l.lookup(x)
	return 0
}

// send implements source: it sends the page, once there is one.
func (s *cacheSource) send(l *loop, x *Exchange) (more bool) {
	if x.page == nil {
		return false
	}
	l.sendPage(x)
	return true
}

// left implements source.
func (s *cacheSource) left(l *loop, x *Exchange) {
	if x.wait != nil {
		l.waitEnds(x)
	}
	l.done(x)
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
		if x.unchanged = found.Page.Unchanged(asked); !x.unchanged && l.partOf(found.Page, x) {
			return
		}
		page, wanted := found.Page, compress.Identity
		if x.count == 0 {
			page, wanted = page.Coded(asked)
		}
		if wanted != compress.Identity {
			l.compress(page, wanted)
		}
		l.usePage(x, page, found.Verdict)
		if found.Fill == nil {
			l.advance(x.conn)
			return
		}
		q.keep()
		rules := x.rules
		l.advance(x.conn) // before anything else, as the handler may run on the loop
		l.flush()
		l.refresh(q, found, rules)
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

// usePage makes p the response of x.
func (l *loop) usePage(x *Exchange, p *cache.Page, said cache.Verdict) {
	x.source, x.page, x.cacheStatus, x.sendCacheStatus, x.phase = &l.pages, p, said, true, answering
}

// partOf notes which part of a page x is to get, if it asks for one. answered: there is no
// such part.
func (l *loop) partOf(p *cache.Page, x *Exchange) (answered bool) {
	wanted := p.Range(&x.req.lookup)
	if wanted == nil {
		return false
	}
	size := int64(len(p.Body))
	from, count, ok := static.OneRange(wanted, size)
	if ok && count == 0 {
		l.answerLocally(x, refusal.Response{Status: 416, Fields: fmt.Appendf(nil, "Content-Range: bytes */%d\r\n", size)})
		return true
	}
	x.from, x.count = from, count
	return false
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
func (l *loop) wall() int64 { return l.start.UnixNano() + l.now() }

// sendPage sends a page, and its exchange has ended.
func (l *loop) sendPage(x *Exchange) {
	c, p := x.conn, x.page
	l.use(c)
	r := l.responseTo(x)
	r.Status, r.Reason, r.Type, r.Length = p.Status, p.Reason, p.Type, int64(len(p.Body))
	r.HasDate, r.HasServer = p.HasDate, p.HasServer
	fields, body := p.Fields, p.Body
	if x.count > 0 {
		body = body[x.from : x.from+x.count]
		r.Status, r.Reason, r.Length = 206, nil, x.count
	}
	if x.unchanged {
		r.Status, r.Reason, r.Type, r.Length, fields = 304, nil, "", 0, p.Slim()
	}
	l.heads.fields = append(append(l.heads.fields[:0], fields...), "Age: "...)
	l.heads.fields = strconv.AppendInt(l.heads.fields, p.Age(l.wall()), 10)
	l.heads.fields = append(l.heads.fields, '\r', '\n')
	if x.count > 0 {
		l.heads.fields = static.AppendContentRange(l.heads.fields, x.from, x.count, int64(len(p.Body)))
	}
	l.heads.fields = appendSaid(l.heads.fields, x.cacheStatus)
	r.Fields = l.heads.fields
	l.out.buf = l.appendHead(l.out.buf, x, &r)
	x.begun = true
	if r.Body == http1.NoBody {
		body = nil
	}
	x.sent = int64(len(body))
	l.complete(x, false)
	l.done(x)
	if len(body) > copyLimit {
		buf := l.out.buf
		l.out.conn, l.out.buf = nil, buf[:0]
		l.write(c, buf, body, nil, nil)
		l.settle(c)
		return
	}
	l.out.buf = append(l.out.buf, body...)
	if len(l.out.buf) > flushLimit {
		l.flush()
	}
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

// copied is the Ref of parts that are copies: nothing is to be released.
const copied = ^uintptr(0)

// recorded is the handler of an exchange whose parts are copied. It is the
// handler but for copies.
type recorded struct{ Handler }

// Release implements Handler.
func (r recorded) Release(p *exchange.Part) {
	if p.Ref != copied {
		r.Handler.Release(p)
	}
}
