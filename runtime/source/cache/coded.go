package cache

import (
	"bytes"
	"slices"

	"fapws/runtime/source/static"
)

// coded are the forms of a page in content codings, made when they are first
// asked for. Unlike the rest of a Page they change.
type coded struct {
	can   static.CodingSet // that have not turned out to be no use
	pages [static.Codings]*Page
	asked [static.Codings]bool // it is being made, or was
	size  int64                // of all of them, as counted
}

// codable says whether a page may be sent compressed, and its type and length, -1
// if not known, are worth it.
func codable(kind string, t *terms, h *Head, on bool) bool {
	if !on || !t.plain || h.Status != 200 {
		return false
	}
	if h.Type != "" {
		kind = h.Type
	}
	if h.Length >= 0 {
		return static.WorthCompressing(kind, h.Length)
	}
	return static.Compressible(kind)
}

// Coded returns the form of a page that a client prefers. wanted, if not
// Identity, is one that is not there yet: it has to be made, and SetCoded be
// told, once. It allocates nothing.
func (p *Page) Coded(r *Request) (form *Page, wanted static.Coding) {
	if p.coded == nil {
		return p, static.Identity
	}
	accepts := static.NewAcceptedCodings()
	for _, f := range r.Parsed.Fields {
		if f.Name.Len == 15 && equalFold(f.Name.In(r.Head), "accept-encoding") {
			accepts.Add(f.Value.In(r.Head))
		}
	}
	c := accepts.Choose(&p.coded.can)
	switch {
	case c == static.Identity:
		return p, c
	case p.coded.pages[c] != nil:
		return p.coded.pages[c], static.Identity
	case p.coded.asked[c]:
		return p, static.Identity
	}
	p.coded.asked[c] = true
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
	s.use(p.in)
	size := form.size()
	if !s.grow(size) {
		return
	}
	if p.in == nil { // it made room for this
		s.used -= size
		return
	}
	p.coded.pages[c] = form
	p.coded.size += size
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
		if equalFold(name, "etag") && !bytes.HasPrefix(value, []byte("W/")) {
			// It is another representation; the weak tag is true of both (RFC 9110 §8.8.3.3).
			form.Fields = append(append(form.Fields, "ETag: W/"...), value...)
			continue
		}
		form.Fields = append(form.Fields, line...)
	}
	form.Fields = append(append(append(form.Fields, "Content-Encoding: "...), c.String()...), '\r', '\n')
	form.Fields = slices.Clip(form.Fields)
	form.slim = slimmed(form.Fields)
	return &form
}
