package cache

import (
	"bytes"
	"slices"

	"fapws/runtime/compress"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

// A Page is a stored response. Only its forms in content codings can change. After its eviction, a Page remains valid
// while it is being sent.
type Page struct {
	exchange.Head // without Age, which differs in each response
	Body          []byte

	terms
	since int64 // time when the response arrived, in nanoseconds since 1970
	// length of the fields from the handler at the front of Fields; the cache has added the rest
	own  int
	etag []byte
	date []byte
	tags []string
	// the node that contains the page; nil if the page is no longer stored
	in    *node
	coded *coded // nil if the page has no forms in other codings
}

func (p *Page) setBody(body []byte) { p.Body, p.Length = body, int64(len(body)) }

// Age returns the age of the page in seconds (RFC 9111 §4.2.3), rounded up, because the loop's clock is slightly late.
func (p *Page) Age(now int64) int64 { return (max(now-p.since+p.age, 0) + second - 1) / second }

func (p *Page) late(now int64) int64 { return now - p.since - p.fresh }

// Instead reports whether the old page may replace a response with this status (RFC 5861 §4). unreachable is true if
// the origin has sent no response, so that the server has chosen the status (RFC 9111 §4.2.4).
func (p *Page) Instead(status int, unreachable bool, now int64) bool {
	failed := status == 500 || status >= 502 && status <= 504
	return failed && p.late(now) < p.ifError || unreachable && p.late(now) < p.down
}

// Unchanged reports whether the client already has the page, so that the response is 304 (RFC 9110 §13.2.2).
func (p *Page) Unchanged(r *exchange.Request) bool {
	c := static.ReadConditions(r.Head, r.Parsed.Fields)
	return p.Status == 200 && c.Unchanged(p.etag, p.date)
}

// Range returns the Range field of a GET if it applies to the page in its original form, otherwise nil. For requests
// with conditions other than If-Range, or with a repeated field, the result is nil and the whole page is sent.
func (p *Page) Range(r *exchange.Request) (wanted []byte) {
	c := static.ReadConditions(r.Head, r.Parsed.Fields)
	wanted = c.Range(p.etag, p.date)
	if wanted == nil || p.Status != 200 || r.Parsed.Head || c.Guarded() || p.indivisible() {
		return nil
	}
	return wanted
}

func (p *Page) indivisible() bool {
	for line := range bytes.Lines(p.Fields) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if http1.EqualFold(name, "content-range") || http1.EqualFold(name, "accept-ranges") &&
			!http1.EqualFold(bytes.TrimSpace(value), "bytes") {
			return true
		}
	}
	return false
}

func appendSlim(dst, fields []byte) []byte {
	return http1.AppendFields(dst, fields, func(name []byte) bool {
		return http1.HasPrefixFold(name, "content-") && !http1.EqualFold(name, "content-location") &&
			!http1.HasPrefixFold(name, "content-security-policy")
	})
}

// coded contains the compressed forms of a page, the only mutable part of a Page. A form is made when a client first
// accepts its coding.
type coded struct {
	// content codings that may make the page smaller and were not ruled out by a failed attempt
	can compress.CodingSet
	// The compressed form for each coding, or the uncompressed page itself while the form is being made or if there was
	// no room for the form.
	pages [compress.Codings]*Page
	size  int64
}

// codable reports whether a page may be sent compressed and whether its type and length make compression worthwhile.
func codable(kind string, t *terms, h *exchange.Head, enabled bool) bool {
	if !enabled || !t.plain || h.Status != 200 {
		return false
	}
	if h.Length >= 0 {
		return compress.Worth(kind, h.Length)
	}
	return compress.Compressible(kind)
}

// Coded returns the form of a page that a client prefers. If this form does not exist yet, Coded returns the
// uncompressed page. The result wanted is then the coding of the form, and the caller must compress the body and call
// SetCoded once. Otherwise wanted is Identity.
func (p *Page) Coded(r *exchange.Request) (form *Page, wanted compress.Coding) {
	if p.coded == nil {
		return p, compress.Identity
	}
	accepts := compress.AcceptedBy(r.Head, r.Parsed.Fields)
	c := accepts.Choose(&p.coded.can)
	if form = p.coded.pages[c]; form != nil {
		return form, compress.Identity
	}
	p.coded.pages[c] = p
	return p, c
}

// SetCoded stores the compressed body of a page if the page is still stored and there is room. If the body did not
// become smaller, the caller passes false as ok, and SetCoded stores nothing.
func (s *Store) SetCoded(p *Page, c compress.Coding, body []byte, ok bool) {
	if !ok {
		p.coded.can[c] = false
		return
	}
	form := p.form(body, c)
	if p.in == nil {
		return
	}
	if size := form.size(); s.growFor(p.in, size) {
		p.coded.pages[c] = form
		p.coded.size += size
	}
}

func (p *Page) form(body []byte, c compress.Coding) *Page {
	form := *p
	form.coded, form.in = nil, nil
	form.setBody(body)
	form.Fields = slices.Clip(compress.Fields(p.Fields, c))
	return &form
}
