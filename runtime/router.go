package runtime

import (
	"slices"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/cache"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
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

	// Having, if not empty, is a pattern as Match that some segment of the path below Within has to match, too.
	Having string

	// Match, if not empty, is a pattern for names as path.Match has it, without a
	// slash: "*.php". Below Prefix, for a Handler any segment may match, and
	// SCRIPT_NAME ends with it; for others the last one has to.
	Match string

	Static *static.Files
	Fall   bool // where Static has nothing (404, or another method than GET and HEAD), routing goes on behind this mount

	Fixed    *Fixed
	Redirect *Redirect
	Rewrite  *route.Rewrite // routing goes on behind this mount

	Handler Handler         // nil: the one of Serve
	Cache   *cache.Compiled // which of the Handler's answers are kept; nil: none
	Index   int             // what the Handler calls this mount: exchange.Request.Mount

	// What the Handler can do besides answering whole requests; the first two
	// need a Receiver. Of the last three, one at most.
	Occupies  bool   // each of its requests occupies one of Config.Concurrency until its answer begins
	Streams   bool   // it takes requests whose body has not arrived: exchange.Request.More
	WebSocket bool   // and WebSockets: exchange.Request.WebSocket
	Tunnels   bool   // it may pass on the connection where a WebSocket is asked for: exchange.Head.Tunnel
	Group     string // that each of its WebSockets joins; "": none
	Raw       bool   // it is given the descriptor where a WebSocket is asked for: exchange.Request.Socket

	// Resolved gives the Handler the resolved form of the path (http1.ResolvePath), with the
	// empty segments that the client has sent, instead of the canonical one. Applications
	// and servers behind this one decide by themselves what these mean.
	Resolved bool

	Rules *Rules // besides those of the site; nil: none

	rules   *rules
	missing misses
}

// prepare copies the sites that Serve was given, and makes the table that decides between them; in the
// copy, mounts without anything that answers have h. It returns all handlers, too, each once. The
// error is one line.
func prepare(given []Site, h Handler, strict bool) (sites []Site, table *route.Table, handlers []Handler, err error) {
	if h != nil {
		handlers = append(handlers, h)
	}
	sites = slices.Clone(given)
	routes := make([]route.Site, len(sites))
	for i := range sites {
		s := &sites[i]
		s.Table = slices.Clone(s.Table)
		s.rules = merged(s, nil)
		routes[i] = route.Site{Names: s.Names, Mounts: make([]route.Mount, len(s.Table)), Guard: s.rules.guard()}
		for k := range s.Table {
			m := &s.Table[k]
			m.rules = merged(s, m.Rules)
			if m.Static != nil || m.Fixed != nil || m.Redirect != nil || m.Rewrite != nil {
				m.Handler = nil
			} else if m.Handler == nil {
				m.Handler = h
			}
			routes[i].Mounts[k] = m.route()
			if _, ok := m.Handler.(Receiver); !ok {
				m.Streams, m.WebSocket = false, false
			}
			if m.Handler != nil && !slices.Contains(handlers, m.Handler) {
				handlers = append(handlers, m.Handler)
			}
		}
	}
	table, err = route.New(routes, strict)
	return sites, table, handlers, err
}

// route returns what package route has to know of a mount.
func (m *Mount) route() route.Mount {
	return route.Mount{
		Prefix:   m.Prefix,
		Within:   m.Within,
		Having:   m.Having,
		Match:    m.Match,
		Inner:    m.Handler != nil,
		Optional: m.Static != nil && m.Fall,
		Rewrite:  m.rewrite(),
		Guard:    m.rules.guard(),
	}
}

// rewrite returns m.Rewrite if nothing that comes first answers.
func (m *Mount) rewrite() *route.Rewrite {
	if m.Static != nil || m.Fixed != nil || m.Redirect != nil {
		return nil
	}
	return m.Rewrite
}

// decision is where a request goes, and for whom.
type decision struct {
	route.Decision
	req   *http1.Request // its head, parsed
	mount *Mount         // nil: none
	rules *rules         // of the mount, or of the site; nil: none
	peer  *exchange.Peer // the client, if it has logged in; or nil
}

// dispatch decides about a request, and has it answered. rest is what follows the head;
// used is the head's length with what was skipped before it.
func (l *loop) dispatch(c *conn, req *http1.Request, head, rest []byte, used int) (int, bool) {
	at := &l.decision
	at.req, at.mount, at.rules, at.peer = req, nil, nil, nil
	if l.override != nil && wantsHTML(req, head) {
		at.Head = head
		return l.refuse(c, at, rest, used, l.override.response())
	}
	r := route.Request{Parsed: req, Head: head, From: c}
	if c.proxy != nil {
		l.applyForwarded(c, req, head)
		r.Root = c.proxy.root
		if c.proxy.trusted {
			l.said = append(l.said[:0], c.proxy.peer.Host...)
			r.Host = l.said
		}
	}
	if c.known != nil {
		r.Index = c.known.index
	}
	l.table.Decide(&at.Decision, r)
	if c.proxy != nil {
		c.proxy.hidden = at.Hidden
	}
	for {
		l.settleRules(at)
		switch at.Outcome {
		case route.Found:
			return l.answer(c, at, rest, used)
		case route.NeedsLookup:
			if !l.falls(c, at) {
				return l.serveStatic(c, at, rest, used)
			}
			at.Skip()
		case route.NeedsPassword:
			switch r, v := l.authenticate(c, at); v {
			case admitted:
				at.Admit()
			case rejected:
				return l.refuse(c, at, rest, used, r)
			default:
				return 0, false
			}
		default:
			if at.Fault != "" {
				l.logClient(c, at.rules, LevelError, "%s", at.Fault)
			}
			return l.refuse(c, at, rest, used, localResponse{status: at.Status, fields: at.Fields, text: at.Text, whole: at.Status < 400})
		}
	}
}

// settleRules finds the mount and the rules of a decision.
func (l *loop) settleRules(at *decision) {
	if at.Site < 0 {
		return
	}
	site := &l.sites[at.Site]
	at.mount, at.rules = nil, site.rules
	if at.Mount >= 0 {
		at.mount = &site.Table[at.Mount]
		at.rules = at.mount.rules
	}
}

// answer has a request answered by its mount.
func (l *loop) answer(c *conn, at *decision, rest []byte, used int) (int, bool) {
	switch m := at.mount; {
	case m.Static != nil:
		return l.serveStatic(c, at, rest, used)
	case m.Fixed != nil:
		return l.refuse(c, at, rest, used, m.Fixed.response())
	case m.Redirect != nil:
		return l.refuse(c, at, rest, used, l.redirect(at))
	default:
		return l.handle(c, at, rest, used)
	}
}

// handle submits a request to the handler of its mount, or begins to collect
// its body.
func (l *loop) handle(c *conn, at *decision, rest []byte, used int) (int, bool) {
	m := at.mount
	if (m.WebSocket || m.Tunnels) && at.req.UpgradeTo.Len > 0 && wantsWebSocket(c, at) {
		return l.handshake(c, at, rest, used)
	}
	var body []byte
	if hasBody(at.req) {
		if at.req.Body == http1.Chunked || at.req.Length > int64(len(rest)) {
			if m.Streams {
				return l.stream(c, at, rest, used)
			}
			return l.begin(c, at, rest, used)
		}
		if l.tooBig(at.rules, at.req.Length) {
			return l.refuse(c, at, rest, used, bodyTooBig)
		}
		body = rest[:at.req.Length]
		used += len(body)
	}
	socket := 0
	if m.Raw && at.req.Upgrade && wantsSocket(c, at) {
		var err error
		if c.busy() {
			l.setState(c, stateWaiting)
			return 0, false
		} else if len(rest) > 0 {
			return l.refuse(c, at, rest, used, early)
		} else if socket, err = l.socket(c); err != nil {
			return l.refuse(c, at, rest, used, localResponse{status: 503, fields: retryAfter})
		}
	}
	r := l.ask(at)
	r.Body, r.Size = body, int64(len(body))
	r.Socket = socket
	l.submit(c, at, r)
	return used, c.state == stateReady
}

// ask returns the request that at is about, without a body. It holds until the next one.
func (l *loop) ask(at *decision) *exchange.Request {
	// One by one: a literal would be made elsewhere and then copied.
	r := &l.request
	*r = exchange.Request{}
	r.Mount, r.Script, r.Root = at.mount.Index, at.Script, at.Root
	r.Head, r.Path, r.Routed = at.Head, at.Asked(at.mount.Resolved), at.Rewritten
	r.Parsed, r.Spool = at.req, -1
	return r
}
