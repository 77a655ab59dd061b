package runtime

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/cache"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/static"
)

// Site is what answers for some host names.
type Site struct {
	// Names are the hosts it answers for, in any case and without a port:
	// "example.org", "*.example.org" (any depth), "example.*" or "[2001:db8::1]".
	// None, which only the first site may have: it answers for all others. The
	// first one answers for them anyway, unless Config.RefuseUnknownHosts.
	Names []string

	// Table is gone through in its order.
	Table []Mount

	Rules *Rules // of all its responses; nil: none
	Pages *Pages // for its errors; nil: the server's own

	// AccessLog gets its requests. nil: Config.AccessLog.
	AccessLog   *accesslog.Log
	NoAccessLog bool // they have no line in any

	// ErrorLog gets the lines about its clients. nil: Config.LogClient.
	ErrorLog func(level Level, client, line string)

	// ErrorLogNumber is exchange.Request.ErrorLog of its requests: the same log, as
	// handlers know it.
	ErrorLogNumber int

	// MaxBodySize and Timeout are as in Config. 0: those of Config. Timeout below
	// zero: none.
	MaxBodySize int64
	Timeout     time.Duration

	rules *rules // where no mount fits
}

// Mount binds paths to what answers them: the first of Static, Fixed, Redirect,
// Rewrite and Handler that is not nil.
type Mount struct {
	Prefix string // compared with the canonical path (http1.ResolvePath), so in this form itself

	// Within, if not empty, is a prefix that the path has to have besides. It has
	// no part in SCRIPT_NAME.
	Within string

	// Match, if not empty, is a pattern for names as path.Match has it, without a
	// slash: "*.php". Below Prefix, for a Handler any segment may match, and
	// SCRIPT_NAME ends with it; for others the last one has to.
	Match string

	Static *static.Files
	Fall   bool // where Static has nothing (404, or another method than GET and HEAD), routing goes on behind this mount

	Fixed    *Fixed
	Redirect *Redirect
	Rewrite  *Rewrite // routing goes on behind this mount

	Handler Handler         // nil: the one of Serve
	Cache   *cache.Compiled // which of the Handler's answers are kept; nil: none
	Index   int             // what the Handler calls this mount: exchange.Request.Mount

	// What the Handler can do besides answering whole requests; the first two
	// need a Receiver. Of the last three, one at most.
	Streams   bool // it takes requests whose body has not arrived: exchange.Request.More
	WebSocket bool // and WebSockets: exchange.Request.WebSocket
	Tunnels   bool // it may pass on the connection where a WebSocket is asked for: exchange.Head.Tunnel
	Raw       bool // it is given the descriptor where a WebSocket is asked for: exchange.Request.Socket

	// Resolved gives the Handler the resolved form of the path (http1.ResolvePath), with the
	// empty segments that the client has sent, instead of the canonical one. Applications
	// and servers behind this one decide by themselves what these mean.
	Resolved bool

	Rules *Rules // besides those of the site; nil: none

	rules   *rules
	pattern namePattern
	missing misses
}

// fits says whether m is for path, and returns the length of SCRIPT_NAME in it.
func (m *Mount) fits(path []byte) (script int, ok bool) {
	if len(path) < len(m.Prefix) || string(path[:len(m.Prefix)]) != m.Prefix {
		return 0, false
	}
	if len(path) < len(m.Within) || string(path[:len(m.Within)]) != m.Within {
		return 0, false
	}
	if m.Match != "" {
		end := m.pattern.find(path, len(m.Prefix), m.Handler == nil)
		if end < 0 {
			return 0, false
		}
		if m.Handler != nil {
			return end, true
		}
	}
	return scriptLen(m.Prefix, path), true
}

// scriptLen returns the length of SCRIPT_NAME: prefix, back to the end of a
// segment of path and without a trailing slash, because PEP 3333 wants
// PATH_INFO to be empty or to begin with a slash.
func scriptLen(prefix string, path []byte) int {
	n := len(prefix)
	if n > 0 && prefix[n-1] != '/' && (len(path) == n || path[n] == '/') {
		return n
	}
	n = max(0, strings.LastIndexByte(prefix, '/'))
	for n > 0 && prefix[n-1] == '/' {
		n--
	}
	return n
}

// prepare copies the sites that Serve was given; in the copy, mounts without
// anything that answers have h. It returns all handlers, too, each once. The
// error is one line.
func prepare(given []Site, h Handler) (sites []Site, handlers []Handler, err error) {
	if h != nil {
		handlers = append(handlers, h)
	}
	sites = slices.Clone(given)
	for i := range sites {
		s := &sites[i]
		s.Table = slices.Clone(s.Table)
		s.rules = merged(s, nil)
		for k := range s.Table {
			m := &s.Table[k]
			m.rules = merged(s, m.Rules)
			if m.pattern, err = newPattern(m.Match); err != nil {
				return nil, nil, fmt.Errorf("%q is no pattern for a file name: %w", m.Match, err)
			}
			if m.Static != nil || m.Fixed != nil || m.Redirect != nil || m.Rewrite != nil {
				m.Handler = nil
				continue
			}
			if m.Handler == nil {
				m.Handler = h
			}
			if _, ok := m.Handler.(Receiver); !ok {
				m.Streams, m.WebSocket = false, false
			}
			if m.Handler != nil && !slices.Contains(handlers, m.Handler) {
				handlers = append(handlers, m.Handler)
			}
		}
	}
	return sites, handlers, nil
}

// course is the way of a request through a site.
type course struct {
	rules *rules // of the mount, or of the site; nil: none
	path  []byte // canonical, as it is seen from outside, or rewritten
	root  int    // length of what is before the site in it
	peer  *exchange.Peer

	resolved []byte // path with the empty segments that the client has sent; nil: as path

	rounds    int // how often it was rewritten
	rewritten bool
}

// handed returns the path that the Handler of m gets. The resolved form is for what m is
// mounted at only if that begins alike: then the rest is the same path, too.
func (at *course) handed(m *Mount, script int) []byte {
	if m.Resolved && bytes.HasPrefix(at.resolved, at.path[:script]) && at.resolved != nil {
		return at.resolved
	}
	return at.path
}

// dispatch routes the request in l.req. rest is what follows the head; used
// is the head's length with what was skipped before it.
func (l *loop) dispatch(c *conn, head, rest []byte, used int) (int, bool) {
	if l.notice != nil {
		if used, again, done := l.noticed(c, head, rest, used); done {
			return used, again
		}
	}
	path, resolved, ok := l.canonical(l.req.Path.In(head))
	root := 0
	if c.front != nil {
		path, resolved, root = l.outward(c, head, path, resolved)
	}
	if c.known != nil && c.known.index != "" {
		path, resolved = append(bytes.Clone(path), c.known.index...), nil
	}
	site := l.site(c, head)
	if site == nil {
		l.course = course{path: path}
		return l.refuse(c, head, rest, used, refusal{status: 421})
	}
	l.course = course{rules: site.rules, path: path, resolved: resolved, root: root}
	if !ok {
		return l.refuse(c, head, rest, used, ambiguousPath)
	}
	if inner := path[root:]; len(inner) == 1 && inner[0] == '*' {
		return l.refuse(c, head, rest, used, refusal{status: 204, fields: allowAll, whole: true})
	}
	return l.follow(c, site, head, rest, used)
}

// canonical returns the canonical form of a raw path and, if it is another one, the resolved
// form, both in buffers of l unless they are raw itself. false: there is none, and path is raw.
func (l *loop) canonical(raw []byte) (path, resolved []byte, ok bool) {
	if l.req.Plain {
		return raw, nil, true
	}
	resolved, ok = http1.ResolvePath(l.resolved[:0], raw)
	if !ok {
		return raw, nil, false
	}
	l.resolved = resolved
	path = http1.MergeSlashes(l.path, resolved)
	if len(path) == len(resolved) {
		return path, nil, true
	}
	l.path = path
	return path, resolved, true
}

// follow lets the first mount that fits answer the request in l.req.
func (l *loop) follow(c *conn, site *Site, head, rest []byte, used int) (int, bool) {
	at := &l.course
	for i := range site.Table {
		m := &site.Table[i]
		inner := at.path
		if at.root > 0 {
			inner = inside(inner, at.root)
		}
		script, ok := m.fits(inner)
		if !ok {
			continue
		}
		if at.rules = m.rules; at.rules != nil {
			if n, again, done := l.barred(c, head, rest, used); done {
				return n, again
			}
		}
		script += at.root
		switch {
		case m.Handler != nil:
			return l.handle(c, m, script, head, rest, used)
		case m.Static != nil:
			if m.Fall && l.falls(c, m, script, head) {
				continue
			}
			return l.serveStatic(c, m, script, at.path, head, rest, used)
		case m.Fixed != nil:
			return l.refuse(c, head, rest, used, m.Fixed.refusal())
		case m.Redirect != nil:
			return l.refuse(c, head, rest, used, l.redirect(c, m, head))
		case m.Rewrite != nil:
			if head, ok = l.rewrite(c, m, head); !ok {
				return l.refuse(c, head, rest, used, refusal{status: 500})
			}
		}
	}
	at.rules = site.rules
	if at.rules != nil {
		if n, again, done := l.barred(c, head, rest, used); done {
			return n, again
		}
	}
	return l.refuse(c, head, rest, used, refusal{status: 404})
}

// barred answers the request in l.req if rules want that, or lets it wait.
func (l *loop) barred(c *conn, head, rest []byte, used int) (n int, again, done bool) {
	switch r, v := l.check(c, l.course.rules, head); v {
	case rejected:
		n, again = l.refuse(c, head, rest, used, r)
		return n, again, true
	case undecided:
		return 0, false, true
	}
	return 0, false, false
}

// handle submits the request in l.req to the handler of m, or begins to collect
// its body.
func (l *loop) handle(c *conn, m *Mount, script int, head, rest []byte, used int) (int, bool) {
	if (m.WebSocket || m.Tunnels) && l.req.UpgradeTo.Len > 0 && l.wantsWebSocket(c, head) {
		return l.handshake(c, m, script, head, rest, used)
	}
	var body []byte
	if l.hasBody() {
		if l.req.Body == http1.Chunked || l.req.Length > int64(len(rest)) {
			if m.Streams {
				return l.stream(c, m, script, head, rest, used)
			}
			return l.begin(c, m, script, head, rest, used)
		}
		if l.tooBig(l.course.rules, l.req.Length) {
			return l.refuse(c, head, rest, used, bodyTooBig)
		}
		body = rest[:l.req.Length]
		used += len(body)
	}
	socket := 0
	if m.Raw && l.req.Upgrade && l.wantsSocket(c, head) {
		var err error
		if c.busy() {
			l.setState(c, stateWaiting)
			return 0, false
		} else if len(rest) > 0 {
			return l.refuse(c, head, rest, used, early)
		} else if socket, err = l.socket(c); err != nil {
			return l.refuse(c, head, rest, used, refusal{status: 503, fields: retryAfter})
		}
	}
	// One by one: a literal would be made elsewhere and then copied.
	r := &l.request
	*r = exchange.Request{}
	r.Mount, r.Script, r.Root = m.Index, script, l.course.root
	r.Head, r.Path, r.Routed = head, l.course.handed(m, script), l.course.rewritten
	r.Body, r.Size, r.Spool = body, int64(len(body)), -1
	r.Socket = socket
	l.submit(c, m)
	return used, c.state == stateReady
}
