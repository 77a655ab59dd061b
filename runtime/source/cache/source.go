package cache

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/compress"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
	"fapws/runtime/source/static"
)

// Pages responds to exchanges from a Store, on the event loop.
type Pages struct {
	Store       *Store
	flush       func()
	invalidated func(Pattern)
	conns       *conn.Set
	limits      *http1.Limits

	part   exchange.Part
	fields []byte
}

// flush sends the event loop's output. invalidated is called when a request has made pages out of date, and must notify
// the other processes.
func NewPages(s *Store, flush func(), invalidated func(Pattern), conns *conn.Set, limits *http1.Limits) *Pages {
	return &Pages{Store: s, flush: flush, invalidated: invalidated, conns: conns, limits: limits}
}

// now returns the time of the last tick of the event loop, in nanoseconds since 1970: the start time of the server plus
// the monotonic time since then.
func (p *Pages) now() int64 {
	now := p.conns.Start.UnixNano() + p.conns.Now
	p.Store.ahead = p.conns.Unix()*second - now
	return now
}

type Source struct {
	exchange.Memory
	pages  *Pages
	rule   *Compiled
	origin exchange.Source
}

func (p *Pages) Source(rule *Compiled, origin exchange.Source) *Source {
	return &Source{pages: p, rule: rule, origin: origin}
}

func (s *Source) Start(x *exchange.Exchange) { s.lookup(x, 0) }

func (s *Source) lookup(x *exchange.Exchange, turns int) {
	p, r := s.pages, x.Req
	if !r.Parsed.Safe {
		p.invalidate(x)
	}
	if !cacheable(r) {
		s.origin.Start(x)
		return
	}
	found := p.Store.Lookup(s.rule, r, p.now())
	f := found.Fill
	switch found.CacheStatus {
	case Hit, Stale:
		if f == nil {
			p.send(x, r, found.Page, found.CacheStatus)
			return
		}
		x.Keep()
		s.newFetch(x, found)
		f.alone, f.sub.Parent = true, nil
		p.send(x, r, found.Page, found.CacheStatus)
		p.flush() // send the page first, because the handler may run on the event loop and block it
		f.ask()
	case Miss, Expired:
		s.fetch(x, found)
	case Wait:
		// A subrequest must not wait for the fetch that has started it, so a request waits only for fetches that are
		// nested as deeply or deeper.
		if turns == maxTurns || f.depth < r.Depth() {
			s.bypass(x)
			return
		}
		s.wait(x, f, turns+1)
	default:
		s.bypass(x)
	}
}

func (s *Source) bypass(x *exchange.Exchange) {
	x.MergeFields(statusFields[Bypass])
	s.origin.Start(x)
}

func cacheable(r *exchange.Request) bool {
	q := r.Parsed
	plain := (q.Head || q.Get) && r.Size == 0 && !q.Upgrade && !r.Upgrade
	return plain && (r.Origin == nil || r.Origin.Value == nil) && (q.Host.Len > 0 || q.Authority.Len > 0)
}

// asked is the client's request, which determines the coding, the range, and whether the client already has the page.
func (p *Pages) send(x *exchange.Exchange, asked *exchange.Request, page *Page, status CacheStatus) {
	// range to send, in bytes of the page; the whole page if count is 0
	var from, count int64
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
	x.SetSource(exchange.Memory{}, "")
	x.MergeFields(statusFields[status])
	part := &p.part
	*part = exchange.Part{First: true, End: exchange.Complete, Head: page.Head, Body: page.Body}
	h := &part.Head
	switch {
	case unchanged:
		h.Status, h.Reason, h.Type, h.Length, part.Body = 304, nil, "", 0, nil
	case count > 0:
		part.Body = page.Body[from : from+count]
		h.Status, h.Reason, h.Length = 206, nil, count
	}
	inTurn := x.InTurn()
	var memory []byte
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

// coded returns the form of a page that a client prefers. If this form does not exist yet, coded returns the
// uncompressed page, and another goroutine makes the form for later requests.
func (p *Pages) coded(page *Page, asked *exchange.Request) *Page {
	form, c := page.Coded(asked)
	if c != compress.Identity {
		var body []byte
		made := false
		p.conns.Offload(nil, func() {
			compress.Processors.Wait()
			defer compress.Processors.Leave()
			body, made = compress.Compress(c, page.Body)
		}, func(bool) {
			p.Store.SetCoded(page, c, body, made)
		})
	}
	return form
}

// invalidate removes the pages of the path of x, whose method is unsafe, when it succeeds (RFC 9111 §4.4).
func (p *Pages) invalidate(x *exchange.Exchange) {
	r := x.Req
	path := route.AppendPath(nil, http1.MergeSlashes(nil, r.Path))
	x.SetSink(&invalidation{pages: p, next: x.Sink, pattern: Pattern{Exact: true, Path: string(path),
		Host: string(r.Peer.AppendHost(nil, r.Parsed, r.Head))}})
}

type invalidation struct {
	pages   *Pages
	next    exchange.Sink
	pattern Pattern
}

func (i *invalidation) Send(p *exchange.Part) {
	if p.First && p.Head.Status >= 200 && p.Head.Status < 400 {
		i.pages.Store.PurgeNow(i.pattern)
		i.pages.invalidated(i.pattern)
	}
	i.next.Send(p)
}

func (i *invalidation) Reply(r exchange.Reply) { i.next.Reply(r) }

// Rule determines which responses of a route are kept. The zero value keeps responses with an explicit lifetime.
type Rule struct {
	// TTL is the lifetime of responses that specify no lifetime. 0 means that these responses are not stored.
	TTL time.Duration `key:"ttl" short:"a time such as \"60s\""`

	// Stale is how long a response is sent after its lifetime, while one request fetches a new response. The directive
	// stale-while-revalidate in a response overrides Stale.
	Stale time.Duration `key:"stale"`

	// A response that has Last-Modified but no lifetime is stored for a tenth of the time since its last change (RFC
	// 9111 §4.2.2), but at most for Heuristic. 0 means that such responses are not stored.
	Heuristic time.Duration `key:"heuristic"`

	// Status contains the statuses to which TTL applies. nil means 200, 301 and 308.
	Status []int `key:"status" range:"200-599"`

	// Vary lists request fields on which the response depends, in addition to the fields in the response's Vary.
	Vary []string `key:"vary"`

	// IgnoreQuery makes requests that differ only in the query share one response.
	IgnoreQuery bool `json:"ignore_query" key:"query" is:"not"`

	// Compress enables compression for clients that accept it, if it makes a page smaller.
	Compress bool

	// IgnoreCookies makes the cache treat requests with a Cookie like requests without a Cookie. Otherwise responses to
	// requests with a Cookie are stored and sent from the cache only if they have the directive public or s-maxage.
	IgnoreCookies bool `json:"ignore_cookies" key:"cookies" is:"one bypass ignore"`
}

// Compiled is a Rule prepared for requests: Vary is in lower case and sorted, and Status is not nil. Compiled does not
// change.
type Compiled struct{ Rule }

// MaxTTL limits the durations of a Rule and the lifetime of a response.
const MaxTTL = 366 * 24 * time.Hour

// Compile prepares r for requests. Its errors have one line.
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
