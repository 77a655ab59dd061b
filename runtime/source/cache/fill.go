package cache

import (
	"bytes"
	"cmp"
	"container/list"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/source/static"
)

// Fill has the origin make a page, and takes the answer, part by part, to keep it (Begin, Write, Finish). It ends with Finish, Confirm,
// Failed or Refuse, or when the answer turns out not to be kept. The origin answers an exchange of its own, whose Sink the Fill is: it
// records the response, and passes it on to the client that has asked for the page. The origin never waits for that client: parts are
// copied and released at once, because one slow client would otherwise delay all that wait for the page.
//
// To the client's exchange it is the Source.
type Fill struct {
	s        *Store
	rule     *Compiled
	personal bool  // the request is
	node     *node // that has it for its fill; nil: it was thrown out, or every request has a Fill
	old      *Page // that is to be replaced or confirmed, or nil
	base     []byte
	path     string           // percent-decoded
	request  exchange.Request // Head and Parsed, as the client has sent them

	names  []string // that tell answers apart, in addition to the rule's
	key    []byte   // of the stored page
	page   *Page
	age    int64 // in seconds, that the answer had when it came; -1: it did not say
	length int64 // of the body as was said, or -1
	taken  int64 // bytes counted as used
	purged bool  // the page being fetched may be from before that
	ended  bool

	source      *Source
	origin      exchange.Exchange // the request to the origin; its Parent gets the parts; nil: it has left, or was answered, or no client has asked
	conditional bool              // the origin is asked to confirm old
	alone       bool              // no client has asked for it: a stale page is replaced
	depth       int               // of the request
	waiting     list.List         // of waiters
	begun       int64             // Pages.now when the head came
}

// Begin takes the head of the answer. false: it is not to be kept, the Fill has ended, and waiting requests have to
// ask by themselves. Slices in h are copied; the Fields as they are kept are those of the Page.
func (f *Fill) Begin(h *exchange.Head, now int64) bool {
	f.s.now = now
	read := readFields(h.Fields, now+f.s.ahead)
	t := f.rule.judge(f.personal, h.Status, &read)
	if !t.keep || h.Length > f.s.most || !f.move(t.vary) {
		f.refused(t.personal, h.Status)
		f.end()
		return false
	}
	p := newPage(h.Status, &read, t, now)
	p.Reason, p.Type, p.HasDate, p.HasServer = bytes.Clone(h.Reason), h.Type, h.HasDate, h.HasServer
	if codable(cmp.Or(p.Type, read.kind), &t, h, f.rule.Compress) {
		p.coded = &coded{can: static.Made}
		f.vary(p, &t)
	}
	f.page, f.age, f.length = p, read.age, h.Length
	if h.Length > 0 {
		p.Body = make([]byte, 0, h.Length)
	}
	return true
}

// newPage returns a page without a body.
func newPage(status int, read *answerFields, t terms, now int64) *Page {
	t.vary = nil
	return &Page{Status: status, Fields: read.fields, own: len(read.fields), terms: t, since: now, etag: read.etag, date: read.date, tags: read.tags}
}

// vary says in the Fields of a page that it has forms in other codings.
func (f *Fill) vary(p *Page, t *terms) {
	if !slices.Contains(t.vary, "accept-encoding") && !slices.Contains(f.rule.Vary, "accept-encoding") {
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
	s.key = appendVary(s.key, &f.request, names)
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
		n.fill, f.node = f, n
	}
	return true
}

// leave makes the node of f one that is not being fetched.
func (f *Fill) leave() {
	if n := f.node; n != nil {
		f.node, n.fill = nil, nil
	}
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
	if s.growFor(n, p.size()) {
		n.page, p.in = p, n
		s.pages++
	}
}

// Refuse ends the Fill before Begin: the answer is of a kind that is not kept.
// status is its own.
func (f *Fill) Refuse(status int, now int64) {
	f.s.now = now
	f.refused(false, status)
	f.end()
}

// For says whether the page is the right one for another request that was told
// to wait, too. After Finish. A page that says no-cache is right for none: it may have been out of date before that
// request came.
func (f *Fill) For(r *exchange.Request) bool {
	if f.page.validate || !f.page.public && f.rule.personal(r) {
		return false
	}
	s := f.s
	s.key = appendVary(append(s.key[:0], f.base...), r, f.names)
	return string(s.key) == string(f.key)
}

// end ends the Fill without a decision about the answer.
func (f *Fill) end() {
	f.ended, f.origin.Recorded = true, false
	f.leave()
	delete(f.s.fills, f)
	f.s.used -= f.taken
	f.taken = 0
}
