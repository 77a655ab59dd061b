package cache

import (
	"bytes"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

// Page is a whole answer that is kept. It does not change but for the forms of Coded, and lives on after its eviction
// as long as it is being sent.
type Page struct {
	Status int
	Reason []byte
	Fields []byte // "Name: value\r\n" ... without Age, which goes with each answer
	Type   string // Content-Type, if it is not among Fields
	Body   []byte

	HasDate, HasServer bool // Fields has them

	terms       // on which it is kept
	since int64 // when they began to hold
	own   int   // length of those of Fields that the handler has sent; the rest is ours
	etag  []byte
	date  []byte // Last-Modified
	tags  []string
	in    *node  // nil: it is not kept any more
	coded *coded // nil: there are no other forms
}

// Age returns how old it is, in seconds (RFC 9111 §4.2.3), rounded up: now and the time when it was made may be
// a little late.
func (p *Page) Age(now int64) int64 { return (max(now-p.since+p.age, 0) + second - 1) / second }

// late returns for how long the page has not been fresh any more; below 0: it is.
func (p *Page) late(now int64) int64 { return now - p.since - p.fresh }

// Instead reports whether the page may be sent in place of an answer with that status (RFC 5861 §4). unreachable says that
// there was none, and the status is the server's own (RFC 9111 §4.2.4).
func (p *Page) Instead(status int, unreachable bool, now int64) bool {
	failed := status == 500 || status >= 502 && status <= 504
	return failed && p.late(now) < p.ifError || unreachable && p.late(now) < p.down
}

// Unchanged says whether the client has the page already: 304 answers it (RFC
// 9110 §13.2.2).
func (p *Page) Unchanged(r *exchange.Request) bool {
	c := static.ReadConditions(r.Head, r.Parsed.Fields)
	return p.Status == 200 && c.Unchanged(p.etag, p.date)
}

// Range returns the Range field of a GET that applies to the page as it was made, without other forms. nil: none does. A request
// with other conditions, or with a repeated field, gets all of the page.
func (p *Page) Range(r *exchange.Request) (wanted []byte) {
	c := static.ReadConditions(r.Head, r.Parsed.Fields)
	wanted = c.Range(p.etag, p.date)
	if wanted == nil || p.Status != 200 || r.Parsed.Head || c.Guarded() || p.indivisible() {
		return nil
	}
	return wanted
}

// indivisible says whether the application will have no parts of it sent.
func (p *Page) indivisible() bool {
	for line := range bytes.Lines(p.Fields) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if http1.EqualFold(name, "content-range") || http1.EqualFold(name, "accept-ranges") && !http1.EqualFold(bytes.TrimSpace(value), "bytes") {
			return true
		}
	}
	return false
}

// appendSlim appends those of fields that do not describe a body, which is not sent.
func appendSlim(dst, fields []byte) []byte {
	for line := range bytes.Lines(fields) {
		if !http1.HasPrefixFold(line, "content-") || http1.HasPrefixFold(line, "content-location:") || http1.HasPrefixFold(line, "content-security-policy") {
			dst = append(dst, line...)
		}
	}
	return dst
}

// coded are the forms of a page in content codings, made when they are first
// asked for. Unlike the rest of a Page they change.
type coded struct {
	can   static.CodingSet      // that have not turned out to be no use
	pages [static.Codings]*Page // the page itself: it is being made, or there was no room for it
	size  int64                 // of all of them, as counted
}

// codable says whether a page may be sent compressed, and its type and length, -1
// if not known, are worth it.
func codable(kind string, t *terms, h *exchange.Head, on bool) bool {
	if !on || !t.plain || h.Status != 200 {
		return false
	}
	if h.Length >= 0 {
		return static.WorthCompressing(kind, h.Length)
	}
	return static.Compressible(kind)
}

// Coded returns the form of a page that a client prefers. wanted, if not
// Identity, is one that is not there yet: it has to be made, and SetCoded be
// told, once. It allocates nothing.
func (p *Page) Coded(r *exchange.Request) (form *Page, wanted static.Coding) {
	if p.coded == nil {
		return p, static.Identity
	}
	accepts := static.AcceptedBy(r.Head, r.Parsed.Fields)
	c := accepts.Choose(&p.coded.can)
	if form = p.coded.pages[c]; form != nil {
		return form, static.Identity
	}
	p.coded.pages[c] = p
	return p, c
}

// SetCoded keeps the body of a page in a content coding, if the page is still
// kept and there is room. !ok: there is no such body, as it is no use.
func (s *Store) SetCoded(p *Page, c static.Coding, body []byte, ok bool) {
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

// form returns the page with its body in a content coding.
func (p *Page) form(body []byte, c static.Coding) *Page {
	form := *p
	form.coded, form.in = nil, nil
	form.Body = body
	form.Fields = make([]byte, 0, len(p.Fields)+32)
	for line := range bytes.Lines(p.Fields) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimLeft(value, " \t")
		if http1.EqualFold(name, "etag") && !bytes.HasPrefix(value, []byte("W/")) {
			// It is another representation; the weak tag is true of both (RFC 9110 §8.8.3.3).
			form.Fields = append(append(form.Fields, "ETag: W/"...), value...)
			continue
		}
		form.Fields = append(form.Fields, line...)
	}
	form.Fields = append(append(append(form.Fields, "Content-Encoding: "...), c.String()...), '\r', '\n')
	form.Fields = slices.Clip(form.Fields)
	return &form
}
