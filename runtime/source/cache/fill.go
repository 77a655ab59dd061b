package cache

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/source/static"
)

// Fill takes the answer of a handler, part by part, to keep it. It ends with
// Finish or Abandon.
type Fill struct {
	owner *fetch // has the requests that wait for it

	s       *Store
	rule    *Compiled
	asked   Asked
	node    *node // that has it for its fill; nil: it was thrown out, or every request has a Fill
	old     *Page // that is to be replaced or confirmed, or nil
	base    []byte
	path    string  // percent-decoded
	request Request // fields only

	names  []string // that tell answers apart, in addition to the rule's
	key    []byte   // of the stored page
	page   *Page
	age    int64 // in seconds, that the answer had when it came; -1: it did not say
	length int64 // of the body as was said, or -1
	taken  int64 // bytes counted as used
	purged bool  // the page being fetched may be from before that
	ended  bool
}

// Begin takes the head of the answer. false: it is not to be kept, the Fill has ended, and waiting requests have to
// ask by themselves. Slices in h are copied; the Fields as they are kept are those of the Page.
func (f *Fill) Begin(h *exchange.Head, now int64) bool {
	f.s.now = now
	read := readFields(h.Fields, now)
	t := f.rule.judge(f.asked, h.Status, &read)
	if !t.keep || h.Length > f.s.most || !f.move(t.vary) {
		f.refused(t.personal, h.Status)
		f.end()
		return false
	}
	p := newPage(h.Status, &read, &t, now)
	p.Reason, p.Type, p.HasDate, p.HasServer = bytes.Clone(h.Reason), h.Type, h.HasDate, h.HasServer
	if codable(cmp.Or(p.Type, read.kind), &t, h, f.rule.rule.Compress) {
		p.coded = &coded{can: static.Made}
		f.vary(p, &t)
	}
	f.page = p
	f.age = read.age
	f.length = h.Length
	if h.Length > 0 {
		p.Body = make([]byte, 0, h.Length)
	}
	return true
}

// newPage returns a page without a body.
func newPage(status int, read *answerFields, t *terms, now int64) *Page {
	fresh := now + t.fresh
	return &Page{
		Status:  status,
		Fields:  read.fields,
		own:     len(read.fields),
		born:    now - t.age,
		fresh:   fresh,
		stale:   fresh + t.stale,
		ifError: fresh + t.ifError,
		down:    fresh + t.down,
		check:   t.validate,
		public:  t.public,
		etag:    read.etag,
		date:    read.date,
		tags:    read.tags,
	}
}

// vary says in the Fields of a page that it has forms in other codings.
func (f *Fill) vary(p *Page, t *terms) {
	if !slices.Contains(t.vary, "accept-encoding") && !slices.Contains(f.rule.vary, "accept-encoding") {
		p.Fields = append(p.Fields, "Vary: Accept-Encoding\r\n"...)
	}
}

// refused remembers that an answer was not to be kept. An error of the handler is no reason to forget a page, which it
// may confirm later.
func (f *Fill) refused(personal bool, status int) {
	n, now := f.node, f.s.now
	if !personal && status < 500 && f.old != nil && f.old.in != nil {
		f.s.drop(f.old.in)
	}
	switch {
	case n == nil:
	case personal:
		n.passPersonal = now + passFor
	default:
		n.again = now + tryEvery
		n.pass = now + passFor
	}
}

// Failed ends the Fill for want of an answer. Its older page, which is sent in its place, answers others as well until it
// is time to try again.
func (f *Fill) Failed(now int64) {
	f.s.now = now
	if n := f.node; n != nil {
		n.excused = now + tryEvery
	}
	f.end()
}

// move finds the key under which the answer is kept, now that its Vary is
// known, and makes its node the one of f. Names come and never go: of an answer
// without some of them there are then several.
func (f *Fill) move(vary []string) bool {
	s := f.s
	s.key = append(s.key[:0], f.base...)
	first := s.node(s.key, f.path)
	if first == nil {
		return false
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
	n := s.node(f.key, f.path)
	if n == nil {
		return false
	}
	if n.fill == nil && !f.purged {
		s.unlink(n)
		n.fill, f.node = f, n
	}
	return true
}

// leave makes the node of f one that is not being fetched.
func (f *Fill) leave() {
	if n := f.node; n != nil {
		f.node, n.fill = nil, nil
		f.s.use(n)
	}
}

// Fields returns the fields of the answer for the client that it is fetched for: as they are kept, with the Age that it
// came with. After Begin.
func (f *Fill) Fields() []byte {
	fields := f.page.Fields
	if f.age >= 0 {
		fields = strconv.AppendInt(append(slices.Clip(fields), "Age: "...), f.age, 10)
		fields = append(fields, "\r\n"...)
	}
	return fields
}

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

// Finish ends the Fill and returns the page, which is kept from now on. nil: it is not as announced, and is not kept.
func (f *Fill) Finish() *Page {
	p := f.page
	if f.length >= 0 && int64(len(p.Body)) != f.length {
		f.end()
		return nil
	}
	if cap(p.Body) > len(p.Body)+len(p.Body)/8 {
		p.Body = bytes.Clone(p.Body)
	}
	p.Fields = slices.Clip(p.Fields)
	p.slim = slimmed(p.Fields)
	f.end()
	if !f.purged {
		f.store()
	}
	return p
}

// store keeps the page, if there is room.
func (f *Fill) store() {
	s, p := f.s, f.page
	n := s.node(f.key, f.path)
	if n == nil {
		return
	}
	s.drop(n)
	n.pass, n.passPersonal, n.again, n.excused = 0, 0, 0, 0
	fetched := n.fill != nil // by another, or it could be thrown out below
	s.unlink(n)
	if s.grow(p.size()) {
		n.page, p.in = p, n
		s.pages++
	}
	if !fetched {
		s.use(n)
	}
}

// Refuse ends the Fill before Begin: the answer is of a kind that is not kept.
// status is its own.
func (f *Fill) Refuse(status int, now int64) {
	f.s.now = now
	f.refused(false, status)
	f.end()
}

// Hurry lets no more requests wait for it, because it takes long.
func (f *Fill) Hurry(now int64) {
	if f.node != nil {
		f.node.pass = now + passFor
	}
}

// For says whether the page is the right one for another request that was told
// to wait, too. After Finish. A page that says no-cache is right for none: it may have been out of date before that
// request came.
func (f *Fill) For(r *Request) bool {
	if f.page.check || !f.page.public && f.rule.personal(r.Asked()) {
		return false
	}
	s := f.s
	s.key = r.appendVary(append(s.key[:0], f.base...), f.names)
	return string(s.key) == string(f.key)
}

// end ends the Fill without a decision about the answer.
func (f *Fill) end() {
	f.ended = true
	if f.owner != nil {
		f.owner.origin.Recorded = false
	}
	f.leave()
	delete(f.s.fills, f)
	f.s.used -= f.taken
	f.taken = 0
}

// hasTag says whether a page is one of those called so.
func (p *Page) hasTag(tag string) bool {
	return slices.ContainsFunc(p.tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// waiter is the Source of an exchange that waits for a page which another one fetches.
type waiter struct {
	exchange.Memory
	source *Source
	x      *exchange.Exchange // nil: its client has left
	f      *fetch             // that it waits for; nil: that is over
	turns  int                // how often it has waited
}

// maxTurns bounds how often a request waits: pages that differ by what its Vary
// says, or cannot be kept, may disappoint it.
const maxTurns = 3

// asked returns the request of w.
func (w *waiter) asked() *Request { return &Request{Head: w.x.Req.Head, Parsed: w.x.Req.Parsed} }

// wait makes x wait for f.
func (s *Source) wait(x *exchange.Exchange, f *fetch, turns int) {
	x.Keep()
	w := &waiter{source: s, x: x, f: f, turns: turns}
	x.Source = w
	f.waiting = append(f.waiting, w)
}

// OnGone implements exchange.Source. An origin that fetches the page for
// no client any more is told so.
func (w *waiter) OnGone(x *exchange.Exchange) {
	f := w.f
	w.x, w.f = nil, nil
	x.BreakOff()
	if f == nil {
		return
	}
	at := slices.Index(f.waiting, w)
	f.waiting = slices.Delete(f.waiting, at, at+1)
	if len(f.waiting) == 0 && !f.alone && f.origin.Parent == nil {
		f.leave()
	}
}

// take ends that exchanges wait for f, and has answer called for each of them, soon: not now, as a connection that
// breaks meanwhile must not be the one that is worked on.
func (f *fetch) take(answer func(w *waiter)) {
	for _, w := range f.waiting {
		w.f = nil
		f.source.pages.conns.Soon(func() {
			if w.x != nil {
				answer(w)
			}
		})
	}
	f.waiting = nil
}

// serve sends a page to all that wait for f, if it is theirs; the others ask by themselves.
func (f *fetch) serve(page *Page, v Verdict) {
	f.take(func(w *waiter) {
		if v == Stale || f.fill.For(w.asked()) {
			f.source.pages.send(w.x, w.asked(), page, v)
			return
		}
		w.askAgain()
	})
}

// askAgain has the exchange ask for its page by itself.
func (w *waiter) askAgain() { w.source.lookup(w.x, w.turns) }
