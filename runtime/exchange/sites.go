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
)

// Loop is what surrounds a Server. Its methods are called on the event loop.
type Loop interface {
	// Arrived is called when c has sent its first request, or was closed before. Gone is called when c needs no room any more.
	Arrived(c *Client)
	Gone(c *Client)

	// Freed is called when connections may be accepted that had to wait for a descriptor.
	Freed()
}

// Config says how a Server behaves.
type Config struct {
	Limits      http1.Limits  // of the head of a request (414 and 431 beyond)
	HeadTimeout time.Duration // in which it has to arrive, from its first byte or from the start of the connection
	BodyTimeout time.Duration // how long a client may pause while it sends a body
	BodyRate    int64         // bytes per second that a body has to have on average after that; 0 or less: any
	KeepAlive   time.Duration // how long a connection may be idle

	SpoolSize int    // bytes of a body that are kept in memory; 0: 256 KiB
	SpoolDir  string // where the others go, as files without a name; "": os.TempDir

	// MaxSpools bounds the number of these files. One client gets up to a third of them; its further bodies wait for one, and are not read
	// meanwhile. 0: an eighth of the descriptors that the process may have open.
	MaxSpools int

	// MaxDescriptors bounds the descriptors of open connections, together with those that requests of HTTP/2 need besides. One
	// client gets up to a third of them for its requests; further requests wait for one. 0: three quarters of the descriptors
	// that the process may have open, or conn.AcceptConfig.MaxClients, if that is more.
	MaxDescriptors int

	// MaxBodyMemory bounds the memory of bodies of HTTP/1 that are not whole, above 16 KiB for each. One client gets up to a third of it; its further
	// bodies are in files. 0: 96 MiB.
	MaxBodyMemory int64

	// MaxBodySize bounds the body of a request in bytes; beyond it the client
	// gets 413 and the connection closes. Below zero: no bound. 0: Mount.MaxBody
	// decides.
	MaxBodySize int64

	// StartWait bounds how long a request waits for what answers it (Mount.Pending). 0: it does not wait.
	StartWait time.Duration

	// Proxies are the networks whose Forwarded and X-Forwarded-* fields are
	// believed; ProxyUnix stands for unix sockets.
	Proxies   []netip.Prefix
	ProxyUnix bool

	// ProxyProtocol expects connections from Proxies to begin with a header of
	// the PROXY protocol, version 1 or 2.
	ProxyProtocol bool

	// RefuseUnknownHosts answers requests for a host that no site names with 421
	// (RFC 9110 §15.5.20) instead of by the first site. Requests without a host
	// (HTTP/1.0) are the first site's.
	RefuseUnknownHosts bool

	// RootPath is put before SCRIPT_NAME: "" or "/a/b". It is taken off a path
	// that begins with it.
	RootPath string

	// MaxRequests is after how many requests OnMaxRequests is called, once, on a
	// separate goroutine. 0: never.
	MaxRequests   int
	OnMaxRequests func()

	// Current calls done, on any goroutine, when requests that have come before may be answered. It is called on the loop and must not
	// block. Requests of the server to itself do not wait for it. nil: no request waits.
	Current func(done func())

	// Needed is called on the loop when a request waits at a mount that is Pending, for each of them. It must not block. nil: it is not
	// called.
	Needed func()

	// H2C has connections without TLS speak HTTP/2 if their clients begin with it.
	H2C bool

	// Trace gives each request a field traceparent, which continues the trace of the client or begins one (W3C Trace Context).
	Trace bool

	// Answered is called on the loop for each request that has been answered,
	// but not with an override page, for a log that is read while it is written. The entry lives
	// until it returns. nil: it is not called.
	Answered func(*logfile.Entry)

	// AccessLog gets a line per request. nil: none, which costs nothing.
	AccessLog *logfile.AccessLog

	// LogClient gets lines about a client, "192.0.2.7:4711".
	LogClient func(level logfile.Level, client, line string)
}

// Server serves sites to connections of HTTP. All methods must be called on the event loop, unless they say otherwise.
type Server struct {
	Heads  Heads
	Set    *conn.Set
	Config Config

	loop     Loop
	offer    func(*Exchange, *Mount) bool
	table    *Table
	override *Reply // see Override; nil: none
	secure   *conn.TLSServer

	unasked []func() // wait for another call of Config.Current than the call of asked: see AwaitCurrent
	asked   bool     // Config.Current has not called done yet

	exchanges []*Exchange       // all of them
	free      *Exchange         // those that have ended
	next      *request          // memory for the next request
	records   []*logfile.Record // spare ones
	files     Shares            // with bodies
	memory    Shares            // of bodies that are not in files

	descriptors Shares // of connections, and of what streams of HTTP/2 hold

	overrideLocal bool // only for http1.LocalHost

	gaveUp bool   // GiveUp was called
	End    Ending // conn.Set.Drain has to follow when it becomes Leaving or Draining

	spoolWarnings logfile.Seldom

	descriptorWarnings logfile.Seldom
	limitWarnings      map[string]*logfile.Seldom // see NoteLimit
	undeclared         logfile.Seldom             // lines about clients that send forwarding fields
	unread             map[string]bool            // fields of trusted proxies that warnUnread has logged

	metrics *metrics.Recorder // nil: requests are not counted
	tracer  *http1.Tracer     // nil: they are not traced
	timed   bool              // requests are timed, for the access log or Debug
	served  int64             // requests there have been
}

// Table is the sites that Prepare has made.
type Table struct {
	sites []Site // the first one is the default
	route *route.Table

	pending bool // some mount is Pending
	logged  bool // some site has an access log of its own
	users   bool // some site or mount has users: see dropForged
}

// Init makes s ready, whose connections are in set. tls reports failed handshakes. name is the value of the field Server of responses. offer
// makes a Carrier of an exchange that asks for another protocol at a mount with Upgrades, if x asks for one that exists; it returns false if
// it has refused x, or has made x wait.
func (s *Server) Init(h Loop, set *conn.Set, tls *conn.TLSServer, offer func(x *Exchange, m *Mount) bool, name string) {
	s.loop, s.Set, s.secure, s.offer = h, set, tls, offer
	s.table, s.next, s.limitWarnings, s.unread = new(Table), newRequest(), limitWarnings(), map[string]bool{}
	s.files.eases = func() { set.Soon(s.easeBodies) }
	s.descriptors.eases = func() { set.Soon(s.easeDescriptors) }
	s.Heads.Template = http1.NewTemplate(name, set.Start.Unix())
}

// Configure sets how s behaves from now on.
func (s *Server) Configure(cfg Config) {
	s.Config, s.files.Max, s.memory.Max = cfg, int64(cfg.MaxSpools), cmp.Or(cfg.MaxBodyMemory, 96<<20)
	s.descriptors.Max = int64(cfg.MaxDescriptors)
	if cfg.Trace && s.tracer == nil {
		s.tracer = http1.NewTracer()
	}
	s.timed = cfg.AccessLog != nil || cfg.Answered != nil || s.Set.Debug > 0 || s.table.logged
}

// Ending is how far a server has come to its end.
type Ending uint8

const (
	Serving     Ending = iota
	Discouraged        // clients should change to other servers: responses say that their connection closes
	Leaving            // and no connection comes any more: each one stays until its next request is answered, or until it was idle for too long
	Draining           // and connections close when they have answered the requests that have arrived
)

// Prepare copies sites, and makes the table that decides between them. In the copy, mounts without anything that answers have h, and
// source makes the sources of handlers. unbounded reports whether a source may answer with any size before the loop knows. The error is one
// line. Prepare may be called anywhere, after Configure.
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
		t.users = t.users || routes[i].Guard.Password
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
			t.users = t.users || routes[i].Mounts[k].Guard.Password
			t.pending = t.pending || m.Pending
		}
	}
	var err error
	t.route, err = route.New(routes, s.Config.RefuseUnknownHosts)
	return t, err
}

// Use has t answer from now on, also the requests that wait. What was begun before is finished as it was begun.
func (s *Server) Use(t *Table) {
	s.table = t
	s.Configure(s.Config)
	s.nameRoutes()
	s.replaced()
}

// Served returns the number of requests there have been.
func (s *Server) Served() int64 { return s.served }

func (s *Server) tracef(format string, args ...any) { s.Set.Log(logfile.Debug, format, args...) }

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
	Pages Pages  // for its errors; nil: the server's own

	// AccessLog gets its requests. nil: Config.AccessLog.
	AccessLog   *logfile.AccessLog
	NoAccessLog bool // they have no line in any

	// ErrorLog gets the lines about its clients. nil: Config.LogClient.
	ErrorLog func(level logfile.Level, client, line string)

	// ErrorLogNumber is Request.ErrorLog of its requests: the same log, as
	// handlers know it.
	ErrorLogNumber int

	name   string         // for logs: the first of Names that is no pattern, or ""
	rules  *rules         // where no mount fits
	counts *metrics.Route // of requests that no mount fits; nil: they are not counted
}

// Mount binds paths to what answers them: the first of Source, Rewrite and Handler that is not nil.
type Mount struct {
	// Pending says that nothing can answer yet: requests wait for other sites (Server.Use), see decide.go.
	Pending bool

	Prefix string // compared with the canonical path (http1.ResolvePath), so in this form itself

	// Within, if not empty, is a second prefix that the path must have. It has
	// no part in SCRIPT_NAME.
	Within string

	// Having, if not empty, is a pattern as Match that some segment of the path below Within has to match, too.
	Having string

	// Match, if not empty, is a pattern for names as path.Match has it, without a
	// slash: "*.php". Below Prefix, for a Handler any segment may match, and
	// SCRIPT_NAME ends with it; for others the last one has to.
	Match string

	Except []string // the path must not have one of these prefixes

	Plain bool // it is for requests that have not come over HTTPS, as far as trusted proxies say
	Open  bool // every client may use it, without a password, whatever the rules of the site say

	OwnPolicy bool // rules do not replace the Content-Security-Policy and Referrer-Policy of its responses

	ToLogIn bool // it is for clients that have not logged in: those that its site allows may use it without a password, and send forms

	Source  Source         // a static.Source, a static.Fixed, a redirect.Redirect
	Rewrite *route.Rewrite // routing goes on behind this mount

	Handler Handler // nil: the one of Serve
	Cache   any     // which of the Handler's answers are kept: a *cache.Compiled; nil: none
	Index   int     // what the Handler calls this mount: Request.Mount

	// Abilities of the Handler beyond answering whole requests.
	Occupies Occupancy // how long each of its requests counts for conn.AcceptConfig.Concurrency
	Streams  bool      // it takes requests whose body has not arrived: Request.More
	MaxBody  int64     // limit of bodies in bytes without Rules and Config.MaxBodySize; 0: 10 MiB; below zero: none
	Asks     bool      // and asks for bodies by its first credit (100 Continue), bounds their size itself, and may take its time
	Upgrades Upgrades  // other protocols that it may speak
	Group    string    // that each of its WebSockets joins; "": none

	Unbounded bool // Prepare sets it: what answers may do so with any size before the loop knows

	// Resolved gives the Handler the resolved form of the path (http1.ResolvePath), with the
	// empty segments that the client has sent, instead of the canonical one. Applications
	// and servers behind this one decide by themselves what these mean.
	Resolved bool

	// Receives, if not nil, gets requests before the Handler, and their bodies as they arrive. The Handler gets the requests that it hands on:
	// Behind.
	Receives Handler

	Rules  *Rules // in addition to those of the site; nil: none
	Access Access // in the place of that of the rules; nil: as these say

	// LocalWithoutLogin says that clients on this machine need no session, where others do.
	LocalWithoutLogin bool

	rules   *rules
	counts  *metrics.Route // of its requests; nil: they are not counted
	missing notFoundCache
}

// Upgrades says how a Handler may speak another protocol than HTTP with a client that asks for it.
type Upgrades uint8

const (
	NoUpgrades   Upgrades = iota
	ToMessages            // it gets the messages as Input, and sends messages as Parts
	ToUpstream            // it may give the connection to an upstream
	ToDescriptor          // it gets Request.Socket
)

// route returns what package route has to know of a mount.
func (m *Mount) route() route.Mount {
	source, optional := m.Source.(Optional)
	return route.Mount{
		Prefix:   m.Prefix,
		Within:   m.Within,
		Having:   m.Having,
		Match:    m.Match,
		Inner:    m.Handler != nil || m.Pending,
		Except:   m.Except,
		Plain:    m.Plain,
		Optional: optional && source.Declines(),
		Rewrite:  m.Rewrite,
		Guard:    m.rules.guard,
	}
}

// Timeout returns the timeout of the rules of m, or of its site; 0: that of the server. It is known in Prepare.
func (m *Mount) Timeout() time.Duration { return m.rules.timeout }
