package cache

import (
	"bytes"

	"fapws/runtime/source/static"
)

// Conditions returns the fields that make a request for the page conditional (RFC 9111 §4.3.1): "Name: value\r\n" ....
// Without a validator, or for a page that is not a 200, there are none.
func (p *Page) Conditions() (fields []byte) {
	if p.Status != 200 {
		return nil
	}
	if isTag(p.etag) {
		fields = append(append(append(fields, "If-None-Match: "...), p.etag...), "\r\n"...)
	}
	if isDate(p.date) {
		fields = append(append(append(fields, "If-Modified-Since: "...), p.date...), "\r\n"...)
	}
	return fields
}

// names reports whether a 304 with etag is about the page. One with another strong tag is about another
// representation (RFC 9111 §4.3.4).
func (p *Page) names(etag []byte) bool {
	return len(etag) == 0 || len(p.etag) == 0 || bytes.HasPrefix(etag, []byte("W/")) || bytes.Equal(etag, bytes.TrimPrefix(p.etag, []byte("W/")))
}

// update returns the fields of a page after a 304 (RFC 9111 §3.2): those of a name that the 304 has are replaced, except
// for those that describe the content that is kept. Date is never kept: the one of the page would make it as old as
// before. If the 304 has none, it counts as made when it arrived (RFC 9110 §6.6.1).
func (p *Page) update(fields []byte) []byte {
	stored := p.Fields[:p.own]
	merged := make([]byte, 0, len(stored)+len(fields))
	for line := range bytes.Lines(stored) {
		if name := fieldName(line); p.fixed(name) || !hasField(fields, name) && !equalFold(name, "date") {
			merged = append(merged, line...)
		}
	}
	for line := range bytes.Lines(fields) {
		if !p.fixed(fieldName(line)) {
			merged = append(merged, line...)
		}
	}
	return merged
}

// fixed reports whether a 304 leaves a field of the page as it is.
func (p *Page) fixed(name []byte) bool {
	switch {
	case equalFold(name, "content-type"), equalFold(name, "content-encoding"), equalFold(name, "content-range"),
		equalFold(name, "content-length"), equalFold(name, "content-md5"), equalFold(name, "content-digest"), equalFold(name, "digest"):
		return true
	case equalFold(name, "etag"):
		return len(p.etag) > 0
	}
	return false
}

func fieldName(line []byte) []byte {
	name, _, _ := bytes.Cut(line, []byte{':'})
	return name
}

func hasField(fields, name []byte) bool {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(fieldName(line), name) {
			return true
		}
	}
	return false
}

// Confirm ends the Fill of a page that the handler has been asked for with its Conditions and has answered with h, which is
// a 304. It returns the page as it is from now on, which is kept if h allows it. shared is false if
// the requests that wait for it have to ask by themselves.
func (f *Fill) Confirm(h *Head, now int64) (p *Page, shared bool) {
	s, old := f.s, f.old
	s.now = now
	s.count.Revalidated++
	got := readFields(h.Fields, now)
	if !old.names(got.etag) {
		f.end()
		return old, false
	}
	read := readFields(old.update(h.Fields), now)
	t := f.rule.judge(f.asked, old.Status, &read)
	p = newPage(old.Status, &read, &t, now)
	p.Reason, p.Type, p.Body = old.Reason, old.Type, old.Body
	p.HasDate, p.HasServer = h.HasDate, old.HasServer || h.HasServer
	if len(p.tags) == 0 {
		p.tags = old.tags
	}
	if old.coded != nil && t.plain {
		f.vary(p, &t)
		p.coded = &coded{can: old.coded.can, asked: old.coded.asked}
		for c, form := range old.coded.pages {
			if p.coded.asked[c] = form != nil; form != nil {
				p.coded.pages[c] = p.form(form.Body, static.Coding(c))
				p.coded.size += p.coded.pages[c].size()
			}
		}
	}
	p.slim = slimmed(p.Fields)
	f.page = p
	if !t.keep || !f.move(t.vary) {
		f.refused(t.personal, p.Status)
		if old.in != nil {
			s.drop(old.in)
		}
		f.end()
		return p, false
	}
	s.purge() // pages that were purged meanwhile
	f.end()
	if in := s.nodes[string(f.key)]; !f.purged && (in == nil || in.page == nil || in.page == old) { // none that is newer
		if old.in != nil && old.in != in {
			s.drop(old.in)
		}
		f.store()
	}
	return p, !p.check
}
