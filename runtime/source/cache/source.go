package cache

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
	"fapws/runtime/source/static"
)

// Loop is the server of Pages. Its methods are called on the event loop.
type Loop interface {
	// Flush writes the output that is gathered for connections.
	Flush()

	// Invalidated is called when a request has made pages out of date, for other processes that have them, too.
	Invalidated(Pattern)
}

// Pages answers exchanges with the pages of a Store, and keeps those that other sources make. Its methods must be called on the
// event loop.
type Pages struct {
	Store  *Store
	loop   Loop
	conns  *conn.Set
	limits *http1.Limits

	// Memory of the exchange that is looked at.
	part   exchange.Part
	fields []byte // of part
}

// NewPages returns Pages without any, for clients that have the connections conns. limits are those of requests.
func NewPages(s *Store, h Loop, conns *conn.Set, limits *http1.Limits) *Pages {
	return &Pages{Store: s, loop: h, conns: conns, limits: limits}
}

// now returns the time in nanoseconds since 1970 by the clock as it was at the start. It may be a tick late.
func (p *Pages) now() int64 {
	now := p.conns.Start.UnixNano() + p.conns.Now
	p.Store.ahead = p.conns.Unix()*second - now
	return now
}

// Source answers the exchanges of a mount from the cache, or has another source answer them.
type Source struct {
	exchange.Memory
	pages  *Pages
	rule   *Compiled
	origin exchange.Source
}

// Source returns a Source that caches the responses of origin that rule allows.
func (p *Pages) Source(rule *Compiled, origin exchange.Source) *Source {
	return &Source{pages: p, rule: rule, origin: origin}
}

// Start implements exchange.Source.
func (s *Source) Start(x *exchange.Exchange) { s.lookup(x, 0) }

// lookup answers x from the cache, or has it answered by the origin. turns is how often it has waited for a page.
func (s *Source) lookup(x *exchange.Exchange, turns int) {
	p, r := s.pages, x.Req
	if !cacheable(r) {
		if !r.Parsed.Safe {
			x.Sink = &invalidation{pages: p, next: x.Sink, pattern: patternOf(r)}
		}
		s.origin.Start(x)
		return
	}
	found := p.Store.Look(s.rule, r, p.now())
	f := found.Fill
	switch found.Verdict {
	case Hit, Stale:
		if f == nil {
			p.send(x, r, found.Page, found.Verdict)
			return
		}
		x.Keep()
		s.newFetch(x, found)
		f.alone, f.origin.Parent = true, nil
		p.send(x, r, found.Page, found.Verdict)
		p.loop.Flush() // before anything else, as the handler may run on the loop
		f.ask()
	case Miss, Expired:
		s.fetch(x, found)
	case Wait:
		// The page itself, or another page that waits, may need a subrequest. If a request waits only for fetches of
		// its own depth or deeper ones, none waits for itself.
		if turns == maxTurns || f.depth < r.Depth {
			s.bypass(x)
			return
		}
		s.wait(x, f, turns+1)
	default:
		s.bypass(x)
	}
}

// bypass has the origin answer x, and keeps nothing of that.
func (s *Source) bypass(x *exchange.Exchange) {
	x.Fields = Bypass.field()
	s.origin.Start(x)
}

// cacheable reports whether a request is one that pages are kept for.
func cacheable(r *exchange.Request) bool {
	q := r.Parsed
	return (q.Head || q.Get) && r.Size == 0 && !q.Upgrade && !r.WebSocket && r.Value == nil && (q.Host.Len > 0 || q.Authority.Len > 0)
}

// send answers x, whose request is asked, with page, in the form that its client prefers, with the range that it asks for, or with nothing if it has the page.
func (p *Pages) send(x *exchange.Exchange, asked *exchange.Request, page *Page, v Verdict) {
	var from, count int64 // the range; all if count is 0
	unchanged := page.Unchanged(asked)
	if !unchanged {
		var asks bool
		if from, count, asks = static.OneRange(page.Range(asked), int64(len(page.Body))); asks && count == 0 {
			x.Answer(exchange.Reply{Status: 416, Fields: fmt.Appendf(nil, "Content-Range: bytes */%d\r\n", len(page.Body))})
			return
		}
		if !asks {
			page = p.coded(page, asked)
		}
	}
	x.Source, x.Fields = exchange.Memory{}, v.field()
	part := &p.part
	*part = exchange.Part{First: true, Last: true, File: -1, Body: page.Body}
	h := &part.Head
	h.Status, h.Reason, h.Type, h.Length = page.Status, page.Reason, page.Type, int64(len(page.Body))
	h.HasDate, h.HasServer = page.HasDate, page.HasServer
	switch {
	case unchanged:
		h.Status, h.Reason, h.Type, h.Length, part.Body = 304, nil, "", 0, nil
	case count > 0:
		part.Body = page.Body[from : from+count]
		h.Status, h.Reason, h.Length = 206, nil, count
	}
	inTurn := x.InTurn()
	var memory []byte // for as long as the part has to wait
	if inTurn {
		memory = p.fields[:0]
	}
	if unchanged {
		memory = appendSlim(memory, page.Fields)
	} else {
		memory = append(memory, page.Fields...)
	}
	memory = append(memory, "Age: "...)
	memory = strconv.AppendInt(memory, page.Age(p.now()), 10)
	memory = append(memory, '\r', '\n')
	if count > 0 {
		memory = static.AppendContentRange(memory, from, count, int64(len(page.Body)))
	}
	if inTurn {
		p.fields = memory
	}
	h.Fields = memory
	x.Sink.Send(part)
}

// coded returns the form of a page that a client prefers. One that is not there yet is made, beside the loop, for later requests.
func (p *Pages) coded(page *Page, asked *exchange.Request) *Page {
	form, c := page.Coded(asked)
	if c != static.Identity {
		var body []byte
		made := false
		p.conns.Beside(func() { body, made = static.Compress(c, page.Body) }, func(bool) { p.Store.SetCoded(page, c, body, made) })
	}
	return form
}

// patternOf returns the pages that a request makes out of date (RFC 9111 §4.4).
func patternOf(r *exchange.Request) Pattern {
	path := route.AppendPath(nil, http1.MergeSlashes(nil, r.Path))
	return Pattern{Exact: true, Path: string(path), Host: string(r.Peer.AppendHost(nil, r.Parsed, r.Head))}
}

// invalidation is the Sink of an exchange that makes pages out of date, unless it fails.
type invalidation struct {
	pages   *Pages
	next    exchange.Sink
	pattern Pattern
}

// Send implements exchange.Sink.
func (i *invalidation) Send(p *exchange.Part) {
	if p.First && p.Head.Status >= 200 && p.Head.Status < 400 {
		i.pages.Store.PurgeNow(i.pattern)
		i.pages.loop.Invalidated(i.pattern)
	}
	i.next.Send(p)
}

// Reply implements exchange.Sink.
func (i *invalidation) Reply(r exchange.Reply) { i.next.Reply(r) }

// Rule says which answers of a route are kept. The zero value keeps those that say themselves how long they are good
// for.
type Rule struct {
	// TTL is how long an answer is good that says nothing about it. 0: such an
	// answer is not kept.
	TTL time.Duration `key:"ttl" short:"a time such as \"60s\""`

	// Stale is how long after that it still answers, while one request fetches
	// a new one; a stale-while-revalidate of the answer counts before it.
	Stale time.Duration `key:"stale"`

	// Heuristic, if not 0, keeps answers that say nothing of their age but have a Last-Modified, for a tenth of the
	// time since then, at most this long (RFC 9111 §4.2.2).
	Heuristic time.Duration `key:"heuristic"`

	// Status are those that TTL is for. nil: 200, 301 and 308.
	Status []int `key:"status" range:"200-599"`

	// Vary are request fields that tell answers apart, in addition to those that an answer's Vary names.
	Vary []string `key:"vary"`

	// IgnoreQuery gives one answer whatever follows "?".
	IgnoreQuery bool `json:"ignore_query" key:"query" is:"not"`

	// Compress sends pages that get smaller by it compressed to clients that take
	// that.
	Compress bool

	// IgnoreCookies treats requests with a Cookie like others. Otherwise these
	// are answered from the cache, and their answers kept, only where the answer
	// says that it is for everybody: public or s-maxage.
	IgnoreCookies bool `json:"ignore_cookies" key:"cookies" is:"one bypass ignore"`
}

// Compiled is a Rule in the form that requests are matched with: Vary is in lower case and sorted, and Status is not nil. It does not change.
type Compiled struct{ Rule }

// MaxTTL bounds the durations of a Rule, and those that an answer may ask for.
const MaxTTL = 366 * 24 * time.Hour

// Compile checks a rule. The error is one line.
func Compile(r Rule) (*Compiled, error) {
	c := &Compiled{r}
	c.Vary = nil
	for _, s := range r.Status {
		if s < 200 || s > 599 || s == 206 || s == 304 {
			return nil, fmt.Errorf("status %d cannot be kept", s)
		}
	}
	if r.Status == nil {
		c.Status = []int{200, 301, 308}
	}
	for _, name := range r.Vary {
		if name == "*" || !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("vary: %q is not a valid header field name", name)
		}
		c.Vary = append(c.Vary, strings.ToLower(name))
	}
	slices.Sort(c.Vary)
	c.Vary = slices.Compact(c.Vary)
	if len(c.Vary) > maxVary {
		return nil, fmt.Errorf("vary: more than %d names", maxVary)
	}
	return c, nil
}
