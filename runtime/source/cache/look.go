package cache

import (
	"bytes"
	"slices"

	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

// Request is the key of an answer. Slices are the caller's; they are not kept.
type Request struct {
	Head   []byte
	Parsed *http1.Request
	Scheme string // "http" or "https"
	Host   []byte // with the port, as the client has it
	Root   []byte // the path that a proxy has before the application, if any
	Path   []byte // percent-decoded, as it is seen from outside
	Known  bool   // the client has shown a certificate
}

// decoded returns the path as patterns are compared with it.
func (r *Request) decoded() string { return string(http1.MergeSlashes(nil, r.Path)) }

// Asked returns the fields that decide for which clients an answer is.
func (r *Request) Asked() (a Asked) {
	a.Authorization = r.Known
	for _, f := range r.Parsed.Fields {
		name := f.Name.In(r.Head)
		a.Cookie = a.Cookie || http1.EqualFold(name, "cookie")
		a.Authorization = a.Authorization || http1.EqualFold(name, "authorization")
	}
	return a
}

// appendKey appends the key of a request, without what Vary adds: scheme, host, target and fields, divided by NUL, which no head has.
func (c *Compiled) appendKey(key []byte, r *Request) []byte {
	key = append(key, r.Scheme...)
	key = append(key, 0)
	for _, b := range r.Host {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		key = append(key, b)
	}
	key = append(key, 0)
	key = append(key, r.Root...)
	key = append(key, r.Parsed.Path.In(r.Head)...)
	if !c.rule.IgnoreQuery && r.Parsed.Query.Len > 0 {
		key = append(key, '?')
		key = append(key, r.Parsed.Query.In(r.Head)...)
	}
	return r.appendVary(key, c.vary)
}

// appendVary appends the values of the fields called names.
func (r *Request) appendVary(key []byte, names []string) []byte {
	for _, name := range names {
		key = append(key, 0)
		if name == "accept-encoding" {
			key = r.appendCodings(key)
			continue
		}
		for value := range http1.Values(r.Head, r.Parsed.Fields, name) {
			key = appendMembers(key, value, name == "accept-language")
			key = append(key, ',') // RFC 9110 §5.3: two fields are one with a list
		}
	}
	return key
}

// appendMembers appends the value of a field without white space beside commas, which has no meaning in a list (RFC 9110
// §5.6.1), and in lower case if fold.
func appendMembers(key, value []byte, fold bool) []byte {
	quoted, space, after := false, -1, true // after: nothing but a comma is before
	for i, b := range value {
		if (b == ' ' || b == '\t') && !quoted {
			if space < 0 {
				space = i
			}
			continue
		}
		if space >= 0 && b != ',' && !after {
			key = append(key, value[space:i]...)
		}
		space, after = -1, b == ',' && !quoted
		if b == '"' {
			quoted = !quoted
		}
		if fold && 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		key = append(key, b)
	}
	return key
}

// appendCodings appends which codings the client takes, in one order: clients
// have many ways to say the same (RFC 9110 §12.5.3).
func (r *Request) appendCodings(key []byte) []byte {
	var has [len(codings)]bool
	for list := range http1.Values(r.Head, r.Parsed.Fields, "accept-encoding") {
		for len(list) > 0 {
			var item []byte
			item, list, _ = bytes.Cut(list, []byte{','})
			name, weight := static.Weighted(item)
			if weight == 0 {
				continue
			}
			for i, coding := range codings {
				has[i] = has[i] || http1.EqualFold(name, coding)
			}
		}
	}
	for i, coding := range codings {
		if has[i] {
			key = append(key, coding...)
			key = append(key, ',')
		}
	}
	return key
}

var codings = [...]string{"gzip", "br", "zstd", "deflate", "*"}

// Verdict is the decision of the cache about a request.
type Verdict uint8

// The verdicts. Their names are those in the field Fapws-Cache.
const (
	Bypass      Verdict = iota // the handler answers, and nothing is kept
	Hit                        // Page answers
	Stale                      // Page answers; if there is a Fill, the caller has to fetch another for it
	Miss                       // the handler answers, and Fill takes it
	Expired                    // the same; there is an older Page, to be asked for with its Conditions
	Wait                       // another request fetches it, into Fill
	Revalidated                // Page answers: the handler has just confirmed it. Look does not return this one
)

// field returns the field Fapws-Cache of a response.
func (v Verdict) field() []byte { return verdictFields[v] }

var verdictFields = [...][]byte{
	Bypass:      []byte("Fapws-Cache: bypass\r\n"),
	Hit:         []byte("Fapws-Cache: hit\r\n"),
	Stale:       []byte("Fapws-Cache: stale\r\n"),
	Miss:        []byte("Fapws-Cache: miss\r\n"),
	Expired:     []byte("Fapws-Cache: expired\r\n"),
	Wait:        []byte("Fapws-Cache: hit\r\n"), // it was there when the client got it
	Revalidated: []byte("Fapws-Cache: revalidated\r\n"),
}

// Found is the result of Look.
type Found struct {
	Verdict Verdict
	Page    *Page
	Fill    *Fill
}

// Look finds the answer to a request, which must be a GET or HEAD without a
// body. It allocates nothing for a page that is there.
func (s *Store) Look(c *Compiled, r *Request, now int64) (f Found) {
	s.now = now
	f = s.look(c, r, now)
	s.count[f.Verdict]++
	return f
}

func (s *Store) look(c *Compiled, r *Request, now int64) Found {
	s.key = c.appendKey(s.key[:0], r)
	base := len(s.key)
	n := s.nodes[string(s.key)]
	if n != nil && n.vary != nil {
		s.use(n)
		s.key = r.appendVary(s.key, n.vary)
		n = s.nodes[string(s.key)]
	}
	asked := r.Asked()
	personal := c.personal(asked)
	var p *Page
	if n != nil {
		s.use(n)
		p = n.page
	}
	fetched := r.Parsed.Head || only(r) // this one cannot be made one for all
	if p != nil {
		switch {
		case personal && !p.public:
			return Found{}
		case now < p.fresh:
			return Found{Verdict: Hit, Page: p}
		case p.check && !fetched:
			// No request waits for it, because the result for another request does not apply to this one.
			return Found{Verdict: Expired, Page: p, Fill: s.begin(nil, p, c, r, asked, base)}
		case now < p.stale, now < n.excused:
			f := Found{Verdict: Stale, Page: p}
			if n.fill == nil && now >= n.again && now >= n.excused && !fetched {
				f.Fill = s.begin(n, p, c, r, asked, base)
			}
			return f
		}
	}
	if fetched {
		return Found{}
	}
	if n == nil {
		if n = s.node(s.key, r.decoded()); n == nil {
			return Found{} // there is no room at all
		}
	}
	switch {
	case personal && now < n.passPersonal:
		return Found{}
	case now < n.pass:
		if n.fill != nil || now < n.again {
			return Found{}
		}
		n.again = now + tryEvery
	case n.fill != nil:
		return Found{Verdict: Wait, Fill: n.fill}
	}
	f := Found{Verdict: Miss, Page: p, Fill: s.begin(n, p, c, r, asked, base)}
	if p != nil {
		f.Verdict = Expired
	}
	return f
}

// only reports whether the answer to a request is of no use to other clients: part of a
// page, or one that depends on the copy that the client has.
func only(r *Request) bool {
	return slices.ContainsFunc(r.Parsed.Fields, func(f http1.Field) bool {
		name := f.Name.In(r.Head)
		return http1.EqualFold(name, "range") || http1.EqualFold(name, "if-match") || http1.EqualFold(name, "if-unmodified-since")
	})
}

// begin returns a new Fill, of the node n unless that is nil, for another page in the place of old.
func (s *Store) begin(n *node, old *Page, c *Compiled, r *Request, asked Asked, base int) *Fill {
	parsed := *r.Parsed
	parsed.Fields = append([]http1.Field(nil), parsed.Fields...)
	f := &Fill{
		s:     s,
		rule:  c,
		asked: asked,
		node:  n,
		old:   old,
		base:  bytes.Clone(s.key[:base]),
		path:  r.decoded(),
		request: Request{
			Head:   bytes.Clone(r.Head),
			Parsed: &parsed,
		},
	}
	if n != nil {
		s.unlink(n)
		n.fill = f
	}
	s.fills[f] = struct{}{}
	return f
}
