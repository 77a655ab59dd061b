package exchange

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
	"fapws/runtime/route"
	"fapws/runtime/system"
)

// A Loop is the event loop that runs a Server. All methods are called on the event loop.
type Loop interface {
	// Arrived is called when c has sent its first request, or was closed without a request. Gone is called when c is no
	// longer counted as a connection.
	Arrived(c *Client)
	Gone(c *Client)
	// Freed is called when a descriptor has become free, so that waiting connections can be accepted.
	Freed()
}

type Config struct {
	Limits      http1.Limits  // a longer head gets 414 or 431
	HeadTimeout time.Duration // time limit for a head, from its first byte or the start of the connection
	BodyTimeout time.Duration // how long a client may pause in a body
	BodyRate    int64         // minimum rate of a body in each period of BodyTimeout, in bytes per second; <= 0 means none
	KeepAlive   time.Duration // how long a connection may be idle

	SpoolSize int    // maximum size of a collected body in memory, in bytes; 0 means 256 KiB
	RoomyBody int    // the same for mounts with Roomy; 0 means SpoolSize
	SpoolDir  string // directory of the unlinked files for longer bodies; "" means os.TempDir
	// MaxSpools limits the number of files for collected bodies. A client gets at most a third of these files. The
	// server does not read a further body of this client until a file is free. 0 means an eighth of the process's limit
	// of open files.
	MaxSpools int
	// MaxDescriptors limits the descriptors of open connections plus the additional descriptors of requests. The
	// requests of a client use at most a third of these descriptors; further requests wait. 0 means three quarters of
	// the process's limit of open files or, if that is larger, conn.AcceptConfig.MaxClients.
	MaxDescriptors int
	// MaxBodyMemory limits the memory for incomplete bodies and for bodies that stay in their place, in bytes. The first
	// 16 KiB of each HTTP/1 body may exceed it. A client uses at most a third of this memory; its further bodies are
	// stored in files. 0 means 96 MiB.
	MaxBodyMemory int64
	// MaxBodySize limits the body of a request in bytes. A client that sends more gets 413, and the connection closes.
	// A negative value means no limit. 0 means Mount.MaxBody.
	MaxBodySize int64
	StartWait   time.Duration // how long a request waits for a Pending mount; 0 means no wait
	// Proxies are the networks of trusted proxies. The server uses the fields Forwarded and X-Forwarded-* in their
	// requests. If ProxyUnix is true, clients of unix sockets are also trusted proxies.
	Proxies       []netip.Prefix
	ProxyUnix     bool
	ProxyProtocol bool // connections from Proxies must begin with a PROXY header, version 1 or 2
	// RootPath, "" or "/a/b", is the path prefix that the server removes from all paths; SCRIPT_NAME begins with it.
	RootPath string
	// After MaxRequests requests, OnMaxRequests is called once, on a separate goroutine. MaxRequests 0 means never.
	MaxRequests   int
	OnMaxRequests func()
	// Needed, if not nil, is called on the loop for each request for a Pending mount, and must not block.
	Needed func()
	H2C    bool // allows HTTP/2 without TLS for clients that begin with the HTTP/2 preface
	// HTTP1Hints sends early hints over HTTP/1.1, too, because all proxies between browsers and the server forward them.
	HTTP1Hints bool
	// Trace adds to each request a field traceparent that continues the client's trace or begins a new one (W3C Trace
	// Context).
	Trace bool
	// RequestID adds a field x-request-id to each request and its response: the id of a trusted proxy, or a new id.
	RequestID bool
	// ServerTiming adds the field Server-Timing to responses (https://www.w3.org/TR/server-timing/).
	ServerTiming bool
	// Details reports whether pages for the host of a request may have details for developers. nil means no details.
	Details func(host string) bool
	// Sampler sets the sampled flag of each trace. Log entries of sampled requests have a Trace. nil means no Trace.
	Sampler *http1.Sampler // requires Trace
	// The functions in Answered are called on the loop for each request, unless an Override answered it. The entry
	// is valid until the functions return.
	Answered  []func(*logfile.Entry)
	AccessLog *logfile.AccessLog // it gets a line for each request; nil means no log
	// LogClient writes a line about a client, such as "192.0.2.7:4711", to the error log.
	LogClient func(level logfile.Level, client, line string)
}

type Server struct {
	Heads  Heads
	Set    *conn.Set
	Config Config

	Compressor Compressor // for mounts with Compress

	loop     Loop
	offer    func(*Exchange, *Mount) bool
	table    *Table
	override *Override // nil if the application can serve
	secure   *conn.TLSServer

	exchanges []*Exchange // all exchanges that were allocated, including ended ones
	free      *Exchange
	next      *request
	records   []*logfile.Record
	spools    spools
	Regions   system.Regions // memory of large bodies and WebSocket messages

	InputMemory conn.Shares // divides the memory for bodies and large WebSocket messages among the clients
	Descriptors Descriptors

	gaveUp bool
	needed int64  // Set.Now at the first call of Config.Needed; 0 if the application loads since the start of the process
	End    Ending // after a change to Leaving or Draining, the caller must call conn.Set.Drain

	limitWarnings map[string]*logfile.Seldom // by the setting of the limit
	undeclared    logfile.Seldom             // limits log lines about clients that send forwarding fields
	unread        map[string]bool            // fields of trusted proxies that warnUnread has logged

	introductions map[string]introducedClient // results of clientOf; nil before the first

	metrics    *metrics.Recorder // nil if requests are not counted
	identifier *http1.Identifier // nil if requests get no identities
	timed      bool              // the access log or the setting Debug needs the times of requests
	served     int64
}

// Table is the set of sites that Prepare returns and Use installs.
type Table struct {
	sites []Site
	route *route.Table

	pending bool // at least one mount is Pending
	logged  bool // at least one site has its own setting for the access log
	users   bool // at least one site or mount has users (see dropForged)
}

// Init initializes s for the connections in set. tls logs failed handshakes, and name is the Server field of responses.
// If a request asks for a protocol that Mount.Upgrades allows, offer makes the Carrier of the exchange. It returns
// false if it has rejected the exchange or if the exchange must wait.
func (s *Server) Init(loop Loop, set *conn.Set, tls *conn.TLSServer, offer func(x *Exchange, m *Mount) bool, name string) {
	s.loop, s.Set, s.secure, s.offer = loop, set, tls, offer
	s.table, s.next, s.limitWarnings, s.unread = new(Table), newRequest(), map[string]*logfile.Seldom{}, map[string]bool{}
	ease := func() { set.Soon(nil, s.easeSpools) }
	s.spools.files.Eases, s.spools.space.Eases = ease, ease
	s.Descriptors.Eases = func() { set.Soon(nil, s.easeDescriptors) }
	s.Heads.Template = http1.NewTemplate(name, set.Start.Unix())
}

func (s *Server) Configure(cfg Config) {
	s.Config, s.spools.files.Max, s.InputMemory.Max = cfg, int64(cfg.MaxSpools), cmp.Or(cfg.MaxBodyMemory, 96<<20)
	s.Descriptors.Max = int64(cfg.MaxDescriptors)
	if s.identifier = http1.NewIdentifier(cfg.Trace, cfg.RequestID); s.identifier != nil {
		s.identifier.Sampler = cfg.Sampler
	}
	s.timed = cfg.AccessLog != nil || len(cfg.Answered) > 0 || cfg.ServerTiming || s.Set.Debug > 0 || s.table.logged
}

// Ending is how far a server has shut down.
type Ending uint8

const (
	Serving     Ending = iota
	Discouraged        // each response closes its connection, so that clients reconnect to other servers
	// like Discouraged, and no connections are accepted; an open connection stays until its next response or idle
	// timeout
	Leaving
	Draining // like Leaving, and connections close after the requests that have already arrived
)

// Prepare copies the given sites, and returns the Table of the copies. In the copies, mounts without a source, a
// rewrite and a handler get the handler h. source makes the Source for a mount with a handler, and unbounded becomes
// Mount.Unbounded. The error has one line. Prepare may be called on any goroutine, after Configure.
func (s *Server) Prepare(given []Site, h Handler, source func(*Mount) (_ Source, unbounded bool)) (*Table, error) {
	t := &Table{sites: slices.Clone(given)}
	routes := make([]route.Site, len(t.sites))
	for i := range t.sites {
		site := &t.sites[i]
		site.Table = slices.Clone(site.Table)
		if i := slices.IndexFunc(site.Names, func(name string) bool { return !strings.Contains(name, "*") }); i >= 0 {
			site.name = site.Names[i]
		}
		site.rules = rulesOf(site, nil)
		t.logged = t.logged || site.AccessLog != nil
		routes[i] = route.Site{Names: site.Names, Mounts: make([]route.Mount, len(site.Table)), Guard: site.rules.guard}
		t.users = t.users || site.rules.access != nil
		for k := range site.Table {
			m := &site.Table[k]
			m.rules = rulesOf(site, m)
			if m.Source != nil || m.Rewrite != nil || m.Pending {
				m.Handler = nil
			} else {
				m.Handler = cmp.Or(m.Handler, h)
				m.Source, m.Unbounded = source(m)
			}
			routes[i].Mounts[k] = m.route()
			t.users = t.users || m.rules.access != nil
			t.pending = t.pending || m.Pending
		}
	}
	var err error
	t.route, err = route.New(routes)
	return t, err
}

// Use makes t answer all new and all waiting requests. Active exchanges keep the previous Table until they end.
func (s *Server) Use(t *Table) {
	s.table = t
	s.Configure(s.Config)
	s.nameRoutes()
	s.replaced()
}

// Measure makes the server count requests in r. Requests that began before this call are counted only as active
// requests.
func (s *Server) Measure(r *metrics.Recorder) {
	s.metrics = r
	for x := range s.begun() {
		if !x.client.Subrequest() {
			x.began = r.BeganEarlier()
		}
	}
	s.nameRoutes()
}

// nameRoutes sets the counter of each mount. Mounts with the same label, such as files and an application at the same
// path, share a counter.
func (s *Server) nameRoutes() {
	if s.metrics == nil {
		return
	}
	for i := range s.table.sites {
		site := &s.table.sites[i]
		host := site.label()
		site.rules.counts = s.metrics.Route(host, metrics.NoRoute)
		for k := range site.Table {
			site.Table[k].rules.counts = s.metrics.Route(host, site.Table[k].label())
		}
	}
}

// label returns the name of the site for operators: the first of its names, preferably one that is not a pattern.
func (s *Site) label() string {
	if s.name == "" && len(s.Names) > 0 {
		return s.Names[0]
	}
	return s.name
}

// A RouteName names a route for operators, as the metrics do.
type RouteName struct{ Host, Route string }

// RouteNames returns the names of the mounts of applications in sites, by Mount.Index. An application that several sites
// share has the name of the first one.
func RouteNames(sites []Site) map[int]RouteName {
	names := map[int]RouteName{}
	for i := range sites {
		for k := range sites[i].Table {
			m := &sites[i].Table[k]
			if _, known := names[m.Index]; !known && m.Application {
				names[m.Index] = RouteName{sites[i].label(), m.label()}
			}
		}
	}
	return names
}

func (s *Server) Served() int64 { return s.served }

func (s *Server) tracef(format string, args ...any) { s.Set.Log(logfile.Debug, format, args...) }

// An Override replaces the responses of an application that cannot serve. Caches must not store it (no-store).
type Override struct {
	Status int
	Page   []byte // an HTML document, for requests whose Accept field names text/html
	Text   []byte // plain text, for all other requests
	Local  bool   // only requests for http1.LocalHost are overridden
}

// Override answers requests with o from now on; nil ends the override.
func (s *Server) Override(o *Override) { s.override = o }

// If the override is for the host of q, overridden answers x, an exchange of q, and returns true.
func (s *Server) overridden(x *Exchange, q *request) bool {
	o := s.override
	if o.Local && (!http1.LocalHost(string(q.parsed.Host.In(q.Head))) || q.parsed.Authority.Len != 0) {
		return false
	}
	s.note(x)
	r := Reply{Status: o.Status, Body: o.Text, Type: TextType, Fields: []byte("Cache-Control: no-store\r\n"), Whole: true}
	if q.parsed.HTML {
		r.Body, r.Type, r.Override = o.Page, htmlType, true
	}
	x.Refuse(r)
	return true
}

type Site struct {
	// Names are host names without a port, in upper or lower case: "example.org", "*.example.org" (any depth),
	// "example.*" or "[2001:db8::1]". Only the first site may have no names. The first site also answers requests for
	// unknown hosts and, over HTTP/1.0, those without a host.
	Names []string
	// Table lists the mounts. The first mount that matches a request answers the request.
	Table []Mount

	Rules *Rules // rules for all responses; may be nil
	// Pages answers x with the site's page for the status of r, or with r if there is no such page. Pages is called on
	// the event loop. nil means the pages of the server.
	Pages func(x *Exchange, r Reply)

	AccessLog   *logfile.AccessLog // it gets a line for each request of the site; nil means Config.AccessLog
	NoAccessLog bool               // requests for the site get no line in an access log
	// ErrorLog writes a line about a client of the site. nil means Config.LogClient.
	ErrorLog func(level logfile.Level, client, line string)

	ErrorLogNumber int    // number that means ErrorLog in Request.ErrorLog
	name           string // name of the site in logs: the first element of Names that is not a pattern, or ""
	rules          *rules // rules for requests that no mount accepts
}

// paths returns the paths of the mounts for a developer, a line each, without those of the server itself.
func (s *Site) paths() string {
	names := []string{"Paths here:"}
	for i := range s.Table {
		name := s.Table[i].label()
		if !strings.HasPrefix(name, "/_fapws/") && !strings.HasPrefix(name, "/.well-known/") {
			names = append(names, "  "+name)
		}
	}
	return strings.Join(names, "\n")
}

// Mount maps paths to a source, a rewrite or a handler: to the first of Source, Rewrite and Handler that is not nil.
type Mount struct {
	Pending bool   // the source is not ready; requests wait until the next Server.Use
	Prefix  string // prefix of the canonical path (http1.ResolvePath)
	Within  string // if not empty, a second prefix that the path must have; not part of SCRIPT_NAME
	// Having, if not empty, is a pattern like Match that at least one segment of the path below Within must match.
	Having string
	// Match, if not empty, is a pattern for a segment in the syntax of path.Match, such as "*.php". For a Handler, any
	// segment below Prefix may match, and SCRIPT_NAME ends with the matching segment. For a Source or a Rewrite, the
	// last segment of the path must match.
	Match  string
	Except []string // prefixes that the path must not have
	Plain  bool     // the mount serves only requests without HTTPS; a trusted proxy can report the scheme
	Exempt Exemptions

	Source  Source         // for example a static.Source, a static.Fixed or a static.Redirect
	Rewrite *route.Rewrite // changes the path; routing then continues with the next mounts

	Handler     Handler // nil means the default handler (see Server.Prepare)
	Application bool    // the Handler runs code of the user; an Override replaces its responses
	Cache       Wrap    // keeps responses of the Handler; nil without a cache
	Compress    bool    // responses of the Handler may be compressed, nearer to the client than the Filters
	Gate        Wrap    // limits the active requests of the Handler; nil if they are not limited
	Index       int     // number of this mount in Request.Mount
	// Filters change the responses of the Handler. The first filter is the one nearest to the client, so it changes a
	// response last. Upgraded connections, detached sockets and exchanges made by Sub are not filtered.
	Filters []Filter

	Occupies Occupancy // how long a request counts for conn.AcceptConfig.Concurrency
	Streams  bool      // the Handler accepts requests whose body has not arrived completely (Request.More)
	Roomy    bool      // the Handler does not copy a body that stays in its place (Request.Stays)
	MaxBody  int64     // limit of a body in bytes, unless Rules or Config set one; 0 means 10 MiB, negative none
	// the Handler requests the body (100 Continue) with its first OpCredit, limits the size of the body itself, and may
	// read slowly; requires Streams
	Asks     bool
	Upgrades Upgrades // the protocol other than HTTP that the Handler can use
	Group    string   // the group that each WebSocket of the mount joins, or ""

	Unbounded bool // a response can grow to any size before the loop receives it; set by Prepare
	// If Resolved is true, the Handler gets the resolved path (http1.ResolvePath), in which empty segments remain.
	// Otherwise it gets the canonical path.
	Resolved bool
	// Receives, if not nil, gets each request and its arriving body before the Handler gets it (Services.Next).
	Receives Handler

	Rules  *Rules // additional rules to those of the site; may be nil
	Access Access // replaces the Access of the rules; may be nil

	rules   *rules
	missing route.Missing
}

func (m *Mount) exempt(e Exemptions) bool { return m.Exempt&e != 0 }

// A Wrap returns the Source that answers in place of the Source of a Handler, such as a cache.
type Wrap func(Source) Source

// Exemptions are rules of the site that do not apply to a mount.
type Exemptions uint8

const (
	// all clients are served: without a password, and regardless of their address, certificate and rate
	FromRestrictions Exemptions = 1 << iota
	// clients need no password and may send forms, because the mount is a login page; they must be in an allowed network
	FromLogin
	FromLocalLogin // clients on this machine need no login
	// rules do not replace the fields Content-Security-Policy and Referrer-Policy of responses
	FromPolicy
	FromAccessLog // requests get no line in an access log
	FromMetrics   // requests are not counted: they only look at the server
)

// Upgrades is the way in which a Handler can use a protocol other than HTTP.
type Upgrades uint8

const (
	NoUpgrades   Upgrades = iota
	ToMessages            // the Handler gets WebSocket messages as Inputs, and sends messages as Parts
	ToUpstream            // the Handler may connect the client to an upstream
	ToDescriptor          // the Handler gets a descriptor that is connected to the client (Request.Socket)
)

func (m *Mount) route() route.Mount {
	source, optional := m.Source.(Optional)
	return route.Mount{Prefix: m.Prefix, Within: m.Within, Having: m.Having, Match: m.Match,
		Inner: m.Handler != nil || m.Pending, Except: m.Except, Plain: m.Plain,
		Optional: optional && source.Declines(), Rewrite: m.Rewrite, Guard: m.rules.guard}
}

// Timeout returns the timeout of m or of its site, after Prepare; 0 means Config.Timeout.
func (m *Mount) Timeout() time.Duration { return m.rules.timeout }

func (m *Mount) Hints() []byte { return m.rules.hints }
