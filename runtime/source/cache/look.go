package cache

import (
	"bytes"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func decoded(r *exchange.Request) string { return string(http1.MergeSlashes(nil, r.Path)) }

// personal reports whether the response must be assumed to contain personal data, because the client has logged in, has
// a certificate or sends a Cookie.
func (c *Compiled) personal(r *exchange.Request) bool {
	return r.Peer.User != "" || r.Peer.TLS != nil && len(r.Peer.TLS.Certificates) > 0 ||
		slices.ContainsFunc(r.Parsed.Fields, func(f http1.Field) bool {
			name := f.Name.In(r.Head)
			return http1.EqualFold(name, "authorization") || !c.IgnoreCookies && http1.EqualFold(name, "cookie")
		})
}

// appendKey appends the key of a request, without the fields named by Vary: scheme, host, target and the fields of
// Rule.Vary, separated by NUL.
func (c *Compiled) appendKey(key []byte, r *exchange.Request) []byte {
	key = append(append(key, r.Peer.Scheme()...), 0)
	host := len(key)
	key = r.Peer.AppendHost(key, r.Parsed, r.Head)
	for i, b := range key[host:] {
		if 'A' <= b && b <= 'Z' {
			key[host+i] += 'a' - 'A'
		}
	}
	key = append(append(key, 0), r.Path[:r.Root]...)
	key = append(key, r.Parsed.Path.In(r.Head)...)
	if !c.IgnoreQuery && r.Parsed.Query.Len > 0 {
		key = append(append(key, '?'), r.Parsed.Query.In(r.Head)...)
	}
	return appendVary(key, r, c.Vary)
}

func appendVary(key []byte, r *exchange.Request, names []string) []byte {
	for _, name := range names {
		key = append(key, 0)
		if name == "accept-encoding" {
			key = appendCodings(key, r)
			continue
		}
		for value := range http1.Values(r.Head, r.Parsed.Fields, name) {
			key = appendMembers(key, value, name == "accept-language")
			key = append(key, ',') // repeated fields form a list (RFC 9110 §5.3)
		}
	}
	return key
}

// appendMembers appends the value of a field to the key, in lower case if fold is true. White space around commas is
// removed, because it has no meaning in a list (RFC 9110 §5.6.1).
func appendMembers(key, value []byte, fold bool) []byte {
	quoted, space, after := false, -1, true // after is true at the start of the list and after a comma
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

// appendCodings appends, in a fixed order, the codings that the client accepts, because clients have many ways to write
// the same list (RFC 9110 §12.5.3).
func appendCodings(key []byte, r *exchange.Request) []byte {
	var has [len(codings)]bool
	for list := range http1.Values(r.Head, r.Parsed.Fields, "accept-encoding") {
		for item := range bytes.SplitSeq(list, []byte{','}) {
			name, weight := http1.Weighted(item)
			for i, coding := range codings {
				has[i] = has[i] || weight > 0 && http1.EqualFold(name, coding)
			}
		}
	}
	for i, coding := range codings {
		if has[i] {
			key = append(append(key, coding...), ',')
		}
	}
	return key
}

var codings = [...]string{"gzip", "br", "zstd", "deflate", "*"}

// saysMore reports whether a request names codings that appendCodings omits, namely unknown codings and codings with
// weight 0. The response may depend on these codings, because an application may interpret them.
func saysMore(r *exchange.Request) bool {
	for list := range http1.Values(r.Head, r.Parsed.Fields, "accept-encoding") {
		for item := range bytes.SplitSeq(list, []byte{','}) {
			if name, weight := http1.Weighted(item); weight == 0 || !isOne(name, codings[:]...) {
				return true
			}
		}
	}
	return false
}

// CacheStatus says how the cache was used for a request, as the field Fapws-Cache reports it to the client.
type CacheStatus uint8

const (
	Bypass CacheStatus = iota // the handler must respond, and the response is not stored
	Hit                       // Page is the response
	// Found.Page is the response, and the caller must start Found.Fill if it is not nil.
	Stale
	Miss
	// like Miss, but the request to the handler must contain the Conditions of Found.Page, an older page
	Expired
	Wait // Found.Fill is already fetching the page for another request
	// the response is a page that the handler has just confirmed; Lookup never returns this status
	Revalidated
)

var statusFields = [...][]byte{
	Bypass:      []byte("Fapws-Cache: bypass\r\n"),
	Hit:         []byte("Fapws-Cache: hit\r\n"),
	Stale:       []byte("Fapws-Cache: stale\r\n"),
	Miss:        []byte("Fapws-Cache: miss\r\n"),
	Expired:     []byte("Fapws-Cache: expired\r\n"),
	Wait:        []byte("Fapws-Cache: hit\r\n"), // the client got a complete page
	Revalidated: []byte("Fapws-Cache: revalidated\r\n"),
}

type Found struct {
	CacheStatus CacheStatus
	Page        *Page
	Fill        *Fill
}

// Lookup searches the store for the response to a request, which must be a GET or HEAD without a body.
func (s *Store) Lookup(c *Compiled, r *exchange.Request, now int64) (f Found) {
	defer func() { s.count[f.CacheStatus]++ }()
	s.key = c.appendKey(s.key[:0], r)
	base := len(s.key)
	n := s.nodes[string(s.key)]
	if n != nil && n.vary != nil {
		s.use(n)
		s.key = appendVary(s.key, r, n.vary)
		n = s.nodes[string(s.key)]
	}
	personal := c.personal(r)
	var p *Page
	if n != nil {
		s.use(n)
		p = n.page
	}
	fetched := r.Parsed.Head || only(r) // the response to this request would not suit other requests
	if p != nil {
		switch late := p.late(now); {
		case personal && !p.public:
			return Found{}
		case late < 0:
			return Found{CacheStatus: Hit, Page: p}
		case p.validate && !fetched:
			// The confirmation applies only to this request, so other requests must not wait for it.
			return Found{CacheStatus: Expired, Page: p, Fill: s.begin(nil, p, c, r, personal, base)}
		case late < p.stale, now < n.excused:
			f = Found{CacheStatus: Stale, Page: p}
			if n.fill == nil && now >= n.again && now >= n.excused && !fetched {
				f.Fill = s.begin(n, p, c, r, personal, base)
			}
			return f
		}
	}
	if fetched {
		return Found{}
	}
	if n == nil {
		if n = s.node(s.key, decoded(r)); n == nil {
			return Found{}
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
		return Found{CacheStatus: Wait, Fill: n.fill}
	}
	f = Found{CacheStatus: Miss, Page: p, Fill: s.begin(n, p, c, r, personal, base)}
	if p != nil {
		f.CacheStatus = Expired
	}
	return f
}

// This function returns true if the response may suit no other request, because of a range, a condition about the
// client's copy, or an unusual name in Connection: a proxy may have removed the named field, which may be part of the
// key.
func only(r *exchange.Request) bool {
	return slices.ContainsFunc(r.Parsed.Fields, func(f http1.Field) bool {
		name := f.Name.In(r.Head)
		return isOne(name, "range", "if-match", "if-unmodified-since") ||
			http1.EqualFold(name, "connection") && namesFields(f.Value.In(r.Head))
	})
}

// namesFields reports whether the value of a Connection field contains names other than the usual hop-by-hop options.
func namesFields(connection []byte) bool {
	for option := range bytes.SplitSeq(connection, []byte{','}) {
		if !isOne(bytes.TrimSpace(option), "", "close", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
			"http2-settings", "proxy-connection") {
			return true
		}
	}
	return false
}

// begin creates a Fill for a page. n is the page's node, or nil if each request has its own Fill.
func (s *Store) begin(n *node, old *Page, c *Compiled, r *exchange.Request, personal bool, base int) *Fill {
	f := &Fill{s: s, rule: c, personal: personal, node: n, old: old, base: bytes.Clone(s.key[:base]), path: decoded(r),
		request: r.Clone()}
	if n != nil {
		n.fill = f
	}
	s.fills[f] = struct{}{}
	return f
}
