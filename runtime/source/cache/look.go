package cache

import (
	"bytes"

	"fapws/runtime/http1"
)

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

// String is the value of the field Fapws-Cache.
func (v Verdict) String() string {
	return [...]string{"bypass", "hit", "stale", "miss", "expired", "wait", "revalidated"}[v]
}

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
	s.purge()
	f = s.look(c, r, now)
	switch f.Verdict {
	case Hit:
		s.count.Hits++
	case Stale:
		s.count.Stale++
	case Miss, Expired:
		s.count.Misses++
	case Wait:
		s.count.Waited++
	default:
		s.count.Bypassed++
	}
	return f
}

func (s *Store) look(c *Compiled, r *Request, now int64) Found {
	var path span
	s.key, path = c.appendKey(s.key[:0], r)
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
			return Found{Verdict: Expired, Page: p, Fill: s.begin(nil, p, c, r, asked, base, path)}
		case now < p.stale, now < n.excused:
			f := Found{Verdict: Stale, Page: p}
			if n.fill == nil && now >= n.again && now >= n.excused && !fetched {
				f.Fill = s.begin(n, p, c, r, asked, base, path)
			}
			return f
		}
	}
	if fetched {
		return Found{}
	}
	if n == nil {
		if n = s.make(s.key, path, http1.MergeSlashes(nil, r.Path)); n == nil {
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
	f := Found{Verdict: Miss, Page: p, Fill: s.begin(n, p, c, r, asked, base, path)}
	if p != nil {
		f.Verdict = Expired
	}
	return f
}

// only reports whether the answer to a request is of no use to other clients: part of a
// page, or one that depends on the copy that the client has.
func only(r *Request) bool {
	for _, f := range r.Parsed.Fields {
		switch f.Name.Len {
		case 5:
			if equalFold(f.Name.In(r.Head), "range") {
				return true
			}
		case 8:
			if equalFold(f.Name.In(r.Head), "if-match") {
				return true
			}
		case 19:
			if equalFold(f.Name.In(r.Head), "if-unmodified-since") {
				return true
			}
		}
	}
	return false
}

// begin returns a new Fill, of the node n unless that is nil, for another page in the place of old.
func (s *Store) begin(n *node, old *Page, c *Compiled, r *Request, asked Asked, base int, path span) *Fill {
	parsed := *r.Parsed
	parsed.Fields = append([]http1.Field(nil), parsed.Fields...)
	f := &Fill{
		s:     s,
		rule:  c,
		asked: asked,
		node:  n,
		old:   old,
		base:  bytes.Clone(s.key[:base]),
		path:  path,
		place: bytes.Clone(http1.MergeSlashes(nil, r.Path)),
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
