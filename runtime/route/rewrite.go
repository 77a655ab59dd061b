package route

import (
	"bytes"
	"fmt"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Rewrite gives a request another path within the server.
type Rewrite struct {
	path, query Template
	keepQuery   bool
}

// NewRewrite returns a rewrite to target: an absolute path, percent-encoded, which may hold ${path},
// ${rest} or $1, and ${query} after a "?". Without "?" the query stays as it is. The error is one line.
func NewRewrite(target string) (*Rewrite, error) {
	path, query, found := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "${path}") {
		return nil, fmt.Errorf("%q is not an absolute path", target)
	}
	if strings.Contains(path, "%00") {
		return nil, fmt.Errorf("%q has a NUL", target)
	}
	r := &Rewrite{keepQuery: !found}
	var err error
	if r.path, err = ParseTemplate(path, VarPath, VarRest); err != nil {
		return nil, err
	}
	r.query, err = ParseTemplate(query, VarPath, VarRest, VarQuery)
	return r, err
}

// maxRounds is how often a request may be rewritten.
const maxRounds = 10

// rewrite gives the request the path that m says, and reports whether that was possible.
func (d *Decision) rewrite(m *compiled) bool {
	parsed := d.request.Parsed
	if d.rounds++; d.rounds > maxRounds {
		d.Fault = fmt.Sprintf("%.200q is rewritten more than %d times", parsed.Target.In(d.Head), maxRounds)
		return d.refuse(500)
	}
	v := d.Values()
	raw := m.Rewrite.path.Append(nil, &v)
	if !m.Rewrite.keepQuery {
		query := m.Rewrite.query.Append(nil, &v)
		parsed.Query = http1.Span{Off: uint32(len(d.Head)), Len: uint32(len(query))}
		d.Head = append(d.Head[:len(d.Head):len(d.Head)], query...)
	}
	path, ok := http1.ResolvePath(bytes.Clone(d.Path[:d.Root]), raw)
	if !ok {
		d.Fault = fmt.Sprintf("a rewrite results in %.200q, whose dot segments cannot be resolved", raw)
		return d.refuse(500)
	}
	d.Path = append(path[:d.Root:d.Root], http1.MergeSlashes(nil, path[d.Root:])...)
	d.Rewritten, d.Resolved = true, nil
	return true
}

// Values returns what templates of the present mount are filled with. They live as long as d.
func (d *Decision) Values() Values {
	prefix := d.Root + len(d.table.sites[d.Site].mounts[d.Mount].Prefix)
	return ValuesOf(&exchange.Request{
		Head: d.Head, Parsed: d.request.Parsed, Path: d.Path, Root: d.Root, Prefix: prefix, Peer: d.request.From.Client(),
	})
}

// ValuesOf returns what templates are filled with for r, of which it uses Head, Parsed, Path, Root, Prefix and Peer. They live
// as long as these.
func ValuesOf(r *exchange.Request) Values {
	v := Values{query: r.Parsed.Query.In(r.Head), scheme: "http"}
	if r.Peer.Scheme != "" {
		v.scheme = r.Peer.Scheme
	}
	host := r.Parsed.Host.In(r.Head)
	if r.Parsed.Authority.Len > 0 { // RFC 9112 §3.2.2: it wins
		host = r.Parsed.Authority.In(r.Head)
	}
	if r.Peer.Host != "" {
		host = []byte(r.Peer.Host)
	}
	if v.host = NormalHost(nil, host); len(v.host) == 0 {
		v.host = []byte(r.Peer.ServerName)
	}
	raw := r.Parsed.Path.In(r.Head)
	if r.Root > 0 || !bytes.Equal(http1.DecodePath(nil, raw), r.Path) {
		v.path = AppendPath(nil, r.Path)
		v.rest = AppendPath(nil, r.Path[min(r.Prefix, len(r.Path)):])
	} else {
		v.path, v.rest = raw, undecoded(raw, r.Prefix)
	}
	return v
}

// undecoded returns a percent-encoded path without its first n decoded bytes.
func undecoded(raw []byte, n int) []byte {
	for ; n > 0 && len(raw) > 0; n-- {
		if raw[0] == '%' && len(raw) >= 3 {
			raw = raw[2:]
		}
		raw = raw[1:]
	}
	return raw
}
