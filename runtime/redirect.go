package runtime

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"fapws/runtime/http1"
)

var redirectTarget = regexp.MustCompile(`^(/|\$\{path\}|([A-Za-z][A-Za-z0-9+.-]*|\$\{scheme\})://.)`)

// Redirect sends clients to another URL.
type Redirect struct {
	status    int
	target    template
	fragment  string // of target, with its "#"
	keepQuery bool   // target has no query of its own
}

// NewRedirect returns a redirect to target with status 301, 302, 303, 307 or
// 308; 0 is 302. target is a URL or an absolute path, percent-encoded, which
// may hold ${path} (of the request, percent-encoded), ${rest} or $1 (what follows the
// prefix of the mount), ${query} (without "?", which goes if there is none),
// ${host} (without a port), ${scheme}, and $$ for a dollar. Without "?" in it the query of the
// request is kept; with one at its end there is none. The error is one line.
func NewRedirect(target string, status int) (*Redirect, error) {
	switch status {
	case 0:
		status = 302
	case 301, 302, 303, 307, 308:
	default:
		return nil, fmt.Errorf("%d is no status of a redirect (301, 302, 303, 307, 308)", status)
	}
	target, fragment, found := strings.Cut(target, "#")
	if found {
		fragment = "#" + fragment
	}
	keepQuery := !strings.Contains(target, "?")
	if bare, ok := strings.CutSuffix(target, "?"); ok && !strings.Contains(bare, "?") {
		target = bare
	}
	t, err := parseTemplate(target, varPath, varRest, varQuery, varHost, varScheme)
	if err != nil {
		return nil, err
	}
	if !redirectTarget.MatchString(target) {
		return nil, fmt.Errorf("%q is neither a URL nor an absolute path", target)
	}
	if _, err := parseTemplate(fragment); err != nil {
		return nil, err
	}
	return &Redirect{status, t, fragment, keepQuery}, nil
}

// redirect returns the answer of m to the request in l.req.
func (l *loop) redirect(c *conn, m *Mount, head []byte) refusal {
	v := l.values(c, m, head)
	l.location = append(l.location[:0], "Location: "...)
	l.location = m.Redirect.target.append(l.location, &v)
	if m.Redirect.keepQuery && len(v.query) > 0 {
		l.location = appendURL(append(l.location, '?'), v.query)
	}
	l.location = append(append(l.location, m.Redirect.fragment...), '\r', '\n')
	return refusal{status: m.Redirect.status, fields: l.location}
}

// values returns what the templates of m are filled with.
func (l *loop) values(c *conn, m *Mount, head []byte) values {
	at := &l.course
	v := values{query: l.req.Query.In(head), scheme: "http"}
	peer := c.client()
	if peer.Scheme != "" {
		v.scheme = peer.Scheme
	}
	host := l.host(head)
	if peer.Host != "" {
		host = []byte(peer.Host)
	}
	if v.host = normalHost(nil, host); len(v.host) == 0 {
		v.host = []byte(peer.ServerName)
	}
	prefix := at.root + len(m.Prefix)
	raw := l.req.Path.In(head)
	if at.root > 0 || !bytes.Equal(http1.DecodePath(nil, raw), at.path) {
		v.path = encodePath(nil, at.path)
		v.rest = encodePath(nil, at.path[min(prefix, len(at.path)):])
	} else {
		v.path, v.rest = raw, undecoded(raw, prefix)
	}
	return v
}

// undecoded returns what is left of a percent-encoded path without its first n
// decoded bytes.
func undecoded(raw []byte, n int) []byte {
	for ; n > 0 && len(raw) > 0; n-- {
		if raw[0] == '%' && len(raw) >= 3 {
			raw = raw[2:]
		}
		raw = raw[1:]
	}
	return raw
}

// Rewrite gives a request another path within the server.
type Rewrite struct {
	path, query template
	keepQuery   bool
}

// NewRewrite returns a rewrite to target: an absolute path, percent-encoded,
// which may hold ${path}, ${rest} or $1, and ${query} after a "?". Without "?"
// the query stays as it is. The error is one line.
func NewRewrite(target string) (*Rewrite, error) {
	path, query, found := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "${path}") {
		return nil, fmt.Errorf("%q is not an absolute path", target)
	}
	r := &Rewrite{keepQuery: !found}
	var err error
	if strings.Contains(path, "%00") {
		return nil, fmt.Errorf("%q has a NUL", target)
	}
	if r.path, err = parseTemplate(path, varPath, varRest); err != nil {
		return nil, err
	}
	r.query, err = parseTemplate(query, varPath, varRest, varQuery)
	return r, err
}

// maxRounds is how often a request may be rewritten.
const maxRounds = 10

// rewrite gives the request in l.req another path, and says whether that was
// possible. head is what its spans point into, and may be another one then.
func (l *loop) rewrite(c *conn, m *Mount, head []byte) ([]byte, bool) {
	at := &l.course
	if at.rounds++; at.rounds > maxRounds {
		l.blame(c, at.rules, LevelError, "%s is rewritten more than %d times", excerpt(l.req.Target.In(head)), maxRounds)
		return head, false
	}
	v := l.values(c, m, head)
	if !m.Rewrite.keepQuery {
		// Its span points behind the head then.
		query := m.Rewrite.query.append(nil, &v)
		whole := append(head[:len(head):len(head)], query...)
		l.req.Query = http1.Span{Off: uint32(len(head)), Len: uint32(len(query))}
		head = whole
	}
	raw := m.Rewrite.path.append(nil, &v)
	path, ok := http1.ResolvePath(bytes.Clone(at.path[:at.root]), raw)
	if !ok {
		l.blame(c, at.rules, LevelError, "a rewrite gives %s, whose dot segments cannot be resolved", excerpt(raw))
		return head, false
	}
	at.path = append(path[:at.root:at.root], http1.MergeSlashes(nil, path[at.root:])...)
	at.rewritten, at.resolved = true, nil
	return head, true
}
