package cache

import (
	"bytes"
	"cmp"
	"container/list"
	"slices"

	"fapws/runtime/compress"
	"fapws/runtime/exchange"
)

// A Fill fetches a page from the origin, and records the response part by part (Begin, Write, Finish). A Fill ends with
// Finish, Confirm, Failed or refuse. The origin responds to a separate exchange, whose Sink is the Fill. The Fill
// copies and releases each part at once, because otherwise a slow client would delay all clients that wait for the
// page.
type Fill struct {
	s        *Store
	rule     *Compiled
	personal bool
	// node of the page (its field fill is this Fill); nil if the node was evicted, or if each request has its own Fill
	node    *node
	old     *Page // the page to replace or confirm; nil if none
	base    []byte
	path    string
	request exchange.Request // Head and Parsed, as the client has sent them

	// names of the request fields on which the response depends (Vary)
	names  []string
	key    []byte
	page   *Page
	age    int64 // age of the response at its arrival in seconds; -1 if unknown
	taken  int64 // bytes of this Fill that Store.used includes
	purged bool  // a purge during the fetch possibly matches the page
	ended  bool

	source *Source
	origin exchange.Exchange
	// passes the parts to sub.Parent, the client's exchange; sub.Parent is nil after the end of the client's response
	sub         exchange.Sub
	conditional bool // the request to the origin contains the Conditions of old
	// the fetch replaces a stale page that was already sent, so no client waits for it
	alone     bool
	depth     int
	requestID string // request ID that is sent to the origin; "" if none
	waiting   list.List
}

// Begin processes the head of the response. If the response will not be kept, Begin returns false, the Fill has ended,
// and waiting requests must be sent to the origin. Begin copies the slices in h, and omits fields that must not be
// stored.
func (f *Fill) Begin(h *exchange.Head, now int64) bool {
	read := readFields(h.Fields, now+f.s.ahead)
	t := f.rule.judge(f.personal, h.Status, &read)
	if !t.keep || h.Length > f.s.most || !f.move(t.vary) {
		f.refuse(t.personal, h.Status, now)
		return false
	}
	p := newPage(h, &read, t, now)
	p.Reason = bytes.Clone(h.Reason)
	if codable(cmp.Or(p.Type, read.kind), &t, h, f.rule.Compress) {
		p.coded = &coded{can: compress.Made}
		f.vary(p, &t)
	}
	f.page, f.age = p, read.age
	if h.Length > 0 {
		p.Body = make([]byte, 0, h.Length)
	}
	return true
}

func newPage(h *exchange.Head, read *answerFields, t terms, now int64) *Page {
	t.vary = nil
	p := &Page{Head: *h, own: len(read.fields), terms: t, since: now, etag: read.etag, date: read.date, tags: read.tags}
	p.Fields, p.Close = read.fields, false
	return p
}

// vary adds "Vary: Accept-Encoding" to the fields of a page that may be sent compressed.
func (f *Fill) vary(p *Page, t *terms) {
	if !slices.Contains(t.vary, "accept-encoding") && !slices.Contains(f.rule.Vary, "accept-encoding") {
		p.Fields = append(p.Fields, "Vary: Accept-Encoding\r\n"...)
	}
}

// refuse ends the Fill, because a response with this status is not kept, and removes the older page. The older page
// stays if the response is personal, or is an error after which the handler may still confirm the page.
func (f *Fill) refuse(personal bool, status int, now int64) {
	n := f.node
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
	f.end()
}

// Failed ends the Fill without a response, so that the older page is sent until the next attempt to fetch the page.
func (f *Fill) Failed(now int64) {
	if n := f.node; n != nil {
		n.excused = now + tryEvery
	}
	f.end()
}

// move computes the key of the response, which includes the values of the fields in Vary, and moves f to the node of
// this key. The list node.vary only grows. If a response omits some of these names in Vary, it may be stored under
// several keys.
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

func (f *Fill) leave() {
	if n := f.node; n != nil {
		f.node, n.fill = nil, nil
	}
}

// Write records a piece of the body and returns a permanent copy. If the body is too long, Write ends the Fill, and ok
// is false.
func (f *Fill) Write(b []byte) (kept []byte, ok bool) {
	p := f.page
	size := int64(len(p.Body) + len(b))
	if size > f.s.most || p.Length >= 0 && size > p.Length || !f.s.grow(int64(len(b))) {
		f.refuse(false, p.Status, p.since)
		return nil, false
	}
	f.taken += int64(len(b))
	p.Body = append(p.Body, b...)
	return p.Body[len(p.Body)-len(b) : len(p.Body) : len(p.Body)], true
}

// Finish ends the Fill, stores the page and returns it, or returns nil if the body differs from the announced length.
func (f *Fill) Finish() *Page {
	p := f.page
	if p.Length >= 0 && int64(len(p.Body)) != p.Length {
		f.end()
		return nil
	}
	if cap(p.Body) > len(p.Body)+len(p.Body)/8 {
		p.Body = bytes.Clone(p.Body)
	}
	p.setBody(p.Body)
	p.Fields = slices.Clip(p.Fields)
	f.end()
	if !f.purged {
		f.store()
	}
	return p
}

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

// The method For, called after Finish, reports whether the page may be sent for the waiting request r. A page with
// no-cache may not be sent, because it may have been generated before r arrived.
func (f *Fill) For(r *exchange.Request) bool {
	if f.page.validate || !f.page.public && f.rule.personal(r) {
		return false
	}
	s := f.s
	s.key = appendVary(append(s.key[:0], f.base...), r, f.names)
	return string(s.key) == string(f.key)
}

func (f *Fill) end() {
	f.ended = true
	f.leave()
	delete(f.s.fills, f)
	f.s.used -= f.taken
	f.taken = 0
}
