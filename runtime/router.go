package runtime

import (
	"slices"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/route"
	"fapws/runtime/source/app"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/refusal"
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

	Rules *Rules         // of all its responses; nil: none
	Pages *refusal.Pages // for its errors; nil: the server's own

	// AccessLog gets its requests. nil: Config.AccessLog.
	AccessLog   *accesslog.Log
	NoAccessLog bool // they have no line in any

	// ErrorLog gets the lines about its clients. nil: Config.LogClient.
	ErrorLog func(level loglevel.Level, client, line string)

	// ErrorLogNumber is exchange.Request.ErrorLog of its requests: the same log, as
	// handlers know it.
	ErrorLogNumber int

	// MaxBodySize and Timeout are as in Config. 0: those of Config. Timeout below
	// zero: none.
	MaxBodySize int64
	Timeout     time.Duration

	rules *rules // where no mount fits
}

// Mount binds paths to what answers them: the first of Source, Rewrite and Handler that is not nil.
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

	Source  exchange.Source // a static.Source, a fixed.Fixed, a redirect.Redirect
	Rewrite *route.Rewrite  // routing goes on behind this mount

	Handler app.Handler     // nil: the one of Serve
	Cache   *cache.Compiled // which of the Handler's answers are kept; nil: none
	Index   int             // what the Handler calls this mount: exchange.Request.Mount

	// What the Handler can do besides answering whole requests; the first two
	// need a Receiver. Of the last three, one at most.
	Occupies     app.Occupancy // how long each of its requests occupies one of Config.Concurrency
	Streams      bool          // it takes requests whose body has not arrived: exchange.Request.More
	WebSocket    bool          // and WebSockets: exchange.Request.WebSocket
	Tunnels      bool          // it may pass on the connection where a WebSocket is asked for: exchange.Head.Tunnel
	Group        string        // that each of its WebSockets joins; "": none
	DetachSocket bool          // it is given the descriptor where a WebSocket is asked for: exchange.Request.Socket

	// Resolved gives the Handler the resolved form of the path (http1.ResolvePath), with the
	// empty segments that the client has sent, instead of the canonical one. Applications
	// and servers behind this one decide by themselves what these mean.
	Resolved bool

	Rules *Rules // besides those of the site; nil: none

	rules   *rules
	missing notFoundCache
	bulky   bool // the Source may answer with any size before the loop knows
}

// prepare copies the sites that Serve was given, and makes the table that decides between them; in the
// copy, mounts without anything that answers have h. It returns all handlers, too, each once. The
// error is one line.
func (s *Server) prepare(given []Site, h app.Handler) (sites []Site, table *route.Table, handlers []app.Handler, err error) {
	if h != nil {
		handlers = append(handlers, h)
	}
	sites = slices.Clone(given)
	routes := make([]route.Site, len(sites))
	for i := range sites {
		site := &sites[i]
		site.Table = slices.Clone(site.Table)
		site.rules = merged(site, nil)
		routes[i] = route.Site{Names: site.Names, Mounts: make([]route.Mount, len(site.Table)), Guard: site.rules.guard()}
		for k := range site.Table {
			m := &site.Table[k]
			m.rules = merged(site, m.Rules)
			if m.Source != nil || m.Rewrite != nil {
				m.Handler = nil
			} else if m.Handler == nil {
				m.Handler = h
			}
			routes[i].Mounts[k] = m.route()
			if _, ok := m.Handler.(app.Receiver); !ok {
				m.Streams, m.WebSocket = false, false
			}
			if m.Source == nil && m.Rewrite == nil {
				m.Source, m.bulky = s.source(m, h)
			}
			if m.Handler != nil && !slices.Contains(handlers, m.Handler) {
				handlers = append(handlers, m.Handler)
			}
		}
	}
	table, err = route.New(routes, s.cfg.RefuseUnknownHosts)
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
		Optional: m.declines(),
		Rewrite:  m.rewrite(),
		Guard:    m.rules.guard(),
	}
}

// declines reports whether the source may have nothing for a path.
func (m *Mount) declines() bool {
	s, ok := m.Source.(exchange.Optional)
	return ok && s.Declines()
}

// rewrite returns m.Rewrite if nothing that comes first answers.
func (m *Mount) rewrite() *route.Rewrite {
	if m.Source != nil {
		return nil
	}
	return m.Rewrite
}

// decide finds out what answers x, and has it answered. A decision that needs the disk, a password or its turn is left, and
// goes on here.
func (l *loop) decide(x *Exchange) {
	q := x.req
	for {
		l.settleRules(x)
		switch q.Outcome {
		case route.Found:
			if q.mount.Handler != nil {
				l.note(x)
				l.admit(x)
				return
			}
			l.startWith(q.mount.Source, x)
			return
		case route.NeedsLookup:
			if !l.skipsFileMount(x) {
				l.startWith(q.mount.Source, x)
				return
			}
			q.Skip()
		case route.NeedsPassword:
			switch r, result := l.authenticate(x); result {
			case admitted:
				q.Admit()
			case rejected:
				l.note(x)
				x.Refuse(r)
				return
			default:
				x.Suspend()
				return
			}
		default:
			l.note(x)
			l.refuseRouted(x)
			return
		}
	}
}

// refuseRouted answers x, which routing has refused.
func (l *loop) refuseRouted(x *Exchange) {
	q := x.req
	if q.Fault != "" {
		l.logClient(x.client, x.rules, loglevel.Error, "%s", q.Fault)
	}
	x.Refuse(exchange.Reply{Status: q.Status, Fields: q.Fields, Text: q.Text, Whole: q.Status < 400})
}

// startWith has x, which was decided about, answered by s.
func (l *loop) startWith(s exchange.Source, x *Exchange) {
	l.note(x)
	x.req.ask()
	if x.Req.Peer = x.peer; x.peer == nil {
		x.Req.Peer = x.client.Client()
	}
	x.Start(s)
}

// dispatch begins to decide about x, whose head has arrived.
func (l *loop) dispatch(x *Exchange) {
	q := x.req
	if l.override != nil && q.wantsHTML() {
		l.startWith(l.override, x)
		return
	}
	l.route(x)
	l.decide(x)
}

// route asks the table where x goes.
func (l *loop) route(x *Exchange) {
	q, c := x.req, x.client
	r := route.Request{Parsed: &q.parsed, Head: q.Head, From: c, Index: q.index}
	if p := c.proxy; p != nil {
		if l.applyForwarded(x); p.trusted {
			q.forwarded = append(q.forwarded[:0], p.peer.Host...)
			r.Host = q.forwarded
		}
		r.Root = p.root
	}
	l.table.Decide(&q.Decision, r)
	if x.Prefix = ""; q.Hidden {
		x.Prefix = c.proxy.root
	}
}

// settleRules finds the mount and the rules of a decision.
func (l *loop) settleRules(x *Exchange) {
	q := x.req
	if q.Site < 0 {
		return
	}
	site := &l.sites[q.Site]
	q.mount, x.rules = nil, site.rules
	if q.Mount >= 0 {
		q.mount = &site.Table[q.Mount]
		x.rules = q.mount.rules
	}
	if x.MaxBody = l.cfg.MaxBodySize; x.rules != nil && x.rules.maxBody != 0 {
		x.MaxBody = x.rules.maxBody
	}
}
