package cache

import (
	"bytes"
	"slices"
	"strings"

	"fapws/runtime/compress"
)

// Fill takes the answer of a handler, part by part, to keep it. It ends with
// Finish or Abandon.
type Fill struct {
	// Owner is the caller's: who waits for it.
	Owner any

	s       *Store
	rule    *Compiled
	asked   Asked
	node    *node // that has it for its fill; nil: it was thrown out
	base    []byte
	path    span
	place   []byte
	request Request // fields only

	names  []string // that tell answers apart, besides the rule's
	key    []byte   // of what is stored
	page   *Page
	length int64 // of the body as was said, or -1
	taken  int64 // bytes counted as used
	purged bool  // what is fetched was true before that
}

// Head is the head of an answer.
type Head struct {
	Answer
	Reason             []byte
	Type               string
	HasDate, HasServer bool
}

// Begin takes the head of the answer. false: it is not to be kept, the Fill has
// ended, and who waits for it has to ask by itself. Slices in h are copied; the
// Fields as they are kept are those of the Page.
func (f *Fill) Begin(h *Head, now int64) bool {
	f.s.now = now
	t := f.rule.judge(f.asked, &h.Answer, now)
	if !t.keep || h.Length > f.s.most {
		f.refused(t.personal, h.Status)
		f.end()
		return false
	}
	if !f.move(t.vary) {
		f.refused(false, h.Status)
		f.end()
		return false
	}
	f.page = &Page{
		Status:    h.Status,
		Reason:    bytes.Clone(h.Reason),
		Fields:    t.fields,
		Type:      h.Type,
		HasDate:   h.HasDate,
		HasServer: h.HasServer,
		born:      now - t.age,
		fresh:     now + t.fresh,
		stale:     now + t.fresh + t.stale,
		ifError:   now + t.fresh + t.ifError,
		public:    t.public,
		etag:      t.etag,
		date:      t.date,
		tags:      t.tags,
	}
	if codable(&t, h, f.rule.rule.Compress) {
		f.page.coded = &coded{can: compress.Made}
		if !slices.Contains(t.vary, "accept-encoding") && !slices.Contains(f.rule.vary, "accept-encoding") {
			f.page.Fields = append(f.page.Fields, "Vary: Accept-Encoding\r\n"...)
		}
	}
	f.length = h.Length
	if h.Length > 0 {
		f.page.Body = make([]byte, 0, h.Length)
	}
	return true
}

// refused remembers that an answer was not to be kept.
func (f *Fill) refused(personal bool, status int) {
	n, now := f.node, f.s.now
	if n == nil {
		return
	}
	if personal {
		n.passPersonal = now + passFor
		return
	}
	n.again = now + tryEvery
	if n.page != nil && status >= 500 && now < n.page.ifError {
		return // an error is no reason to forget a page
	}
	n.pass = now + passFor
	f.s.drop(n)
}

// move finds the key under which the answer is kept, now that its Vary is
// known, and makes its node the one of f. Names come and never go: of an answer
// without some of them there are then several.
func (f *Fill) move(vary []string) bool {
	s := f.s
	s.key = append(s.key[:0], f.base...)
	first := s.nodes[string(s.key)]
	if first == nil {
		if first = s.make(s.key, f.path, f.place); first == nil {
			return false
		}
	}
	s.use(first)
	names := first.vary
	for _, name := range vary {
		if !slices.Contains(names, name) {
			names = append(slices.Clone(names), name)
		}
	}
	if len(names) > len(first.vary) {
		if len(names) > maxVary {
			return false
		}
		s.drop(first)
		first.vary = names
	}
	f.names = names
	s.key = f.request.appendVary(s.key, names)
	f.key = bytes.Clone(s.key)
	if f.node != nil && f.node.key == string(f.key) {
		return true
	}
	f.leave()
	n := s.nodes[string(f.key)]
	if n == nil {
		if n = s.make(f.key, f.path, f.place); n == nil {
			return false
		}
	}
	if n.fill == nil && !f.purged {
		s.unlink(n)
		n.fill, f.node = f, n
	}
	return true
}

// leave makes the node of f one that nobody fetches.
func (f *Fill) leave() {
	if n := f.node; n != nil {
		f.node, n.fill = nil, nil
		f.s.use(n)
	}
}

// Fields returns the fields of the answer as they are kept. After Begin.
func (f *Fill) Fields() []byte { return f.page.Fields }

// Write takes a piece of the body and returns a copy of it that does not
// change. false: it is too long to be kept, the Fill has ended.
func (f *Fill) Write(b []byte) (kept []byte, ok bool) {
	p := f.page
	size := int64(len(p.Body) + len(b))
	if size > f.s.most || f.length >= 0 && size > f.length || !f.s.grow(int64(len(b))) {
		f.refused(false, p.Status)
		f.end()
		return nil, false
	}
	f.taken += int64(len(b))
	p.Body = append(p.Body, b...)
	return p.Body[len(p.Body)-len(b) : len(p.Body) : len(p.Body)], true
}

// Finish ends the Fill and returns the page, which is kept from now on. nil: it
// is not what was promised, and is not kept.
func (f *Fill) Finish() *Page {
	s, p := f.s, f.page
	if f.length >= 0 && int64(len(p.Body)) != f.length {
		f.end()
		return nil
	}
	s.purge() // what was purged while it was fetched
	if cap(p.Body) > len(p.Body)+len(p.Body)/8 {
		p.Body = bytes.Clone(p.Body)
	}
	p.Fields = slices.Clip(p.Fields)
	p.slim = slimmed(p.Fields)
	f.end()
	if f.purged {
		return p
	}
	n := s.nodes[string(f.key)]
	if n == nil {
		if n = s.make(f.key, f.path, f.place); n == nil {
			return p
		}
	}
	s.drop(n)
	n.pass, n.passPersonal, n.again = 0, 0, 0
	fetched := n.fill != nil // by another, or it could be thrown out below
	s.unlink(n)
	if s.grow(p.size()) {
		n.page, p.in = p, n
		s.pages++
	}
	if !fetched {
		s.use(n)
	}
	return p
}

// Abandon ends the Fill: the answer broke off, or never came. Whoever waits for
// it has to ask by itself. Once more, or after Finish, it does nothing.
func (f *Fill) Abandon(now int64) {
	f.s.now = now
	f.refused(false, 500)
	f.end()
}

// Refuse ends the Fill before Begin: the answer is of a kind that is not kept.
// status is its own.
func (f *Fill) Refuse(status int, now int64) {
	f.s.now = now
	f.refused(false, status)
	f.end()
}

// Leave ends the Fill without a word about the answer: nobody wants it.
func (f *Fill) Leave() { f.end() }

// Hurry lets nobody else wait for it, as that takes long.
func (f *Fill) Hurry(now int64) {
	if f.node != nil {
		f.node.pass = now + passFor
	}
}

// For says whether the page is the right one for another request that was told
// to wait, too. After Finish.
func (f *Fill) For(r *Request) bool {
	if !f.page.public && f.rule.personal(r.Asked()) {
		return false
	}
	s := f.s
	s.key = r.appendVary(append(s.key[:0], f.base...), f.names)
	return string(s.key) == string(f.key)
}

func (f *Fill) end() {
	f.leave()
	delete(f.s.fills, f)
	f.s.used -= f.taken
	f.taken = 0
}

// hasTag says whether a page is one of those called so.
func (p *Page) hasTag(tag string) bool {
	return slices.ContainsFunc(p.tags, func(t string) bool { return strings.EqualFold(t, tag) })
}
