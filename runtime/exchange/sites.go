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

// A Loop is the event loop as the Server sees it. The methods of a Loop are called on the event loop.
type Loop interface {
	// Arrived is called when c has sent its first request, or was closed without a request. Gone is called when c is no
	// longer counted as a connection.
	Arrived(c *Client)
	Gone(c *Client)

	// Freed is called when a descriptor is free, so that waiting connections can be accepted.
	Freed()
}

type Config struct {
	Limits http1.Limits // limits of the head of a request; longer heads get 414 or 431
	// time limit of a head, from its first byte or from the start of the connection
	HeadTimeout time.Duration
	BodyTimeout time.Duration // how long a client may pause in a body
	// minimum average rate of a body after BodyTimeout, in bytes per second; 0 or less means no minimum
	BodyRate  int64
	KeepAlive time.Duration // how long a connection may be idle

	SpoolSize int // maximum size of a body in memory, in bytes; 0 means 256 KiB
	// directory for the unlinked files of longer bodies; "" means os.TempDir
	SpoolDir string

	// MaxSpools limits the number of these files. A client gets at most a third of these files. Further bodies of this
	// client are not read before a file is free. 0 means an eighth of the limit of open files of the process.
	MaxSpools int

	// MaxDescriptors limits the descriptors of open connections and the additional descriptors of HTTP/2 requests. The
	// requests of a client use at most a third of them; further requests wait. 0 means three quarters of the limit of
	// open files of the process, or conn.AcceptConfig.MaxClients if it is larger.
	MaxDescriptors int

	// MaxBodyMemory limits the memory for incomplete HTTP/1 bodies, in bytes. The first 16 KiB of each body do not
	// count. A client uses at most a third of this memory. Further bodies of the client are in files. 0 means 96 MiB.
	MaxBodyMemory int64

	// MaxBodySize limits the body of a request in bytes. A client that sends more gets 413, and the connection closes.
	// A negative value means no limit. 0 means Mount.MaxBody.
	MaxBodySize int64

	// StartWait limits how long a request waits for a Pending mount. 0 means no wait.
	StartWait time.Duration

	// Proxies are the networks of trusted proxies, whose fields Forwarded and X-Forwarded-* the server uses. ProxyUnix
	// makes clients of unix sockets trusted proxies.
	Proxies   []netip.Prefix
	ProxyUnix bool

	// ProxyProtocol requires connections from Proxies to begin with a header of the PROXY protocol, version 1 or 2.
	ProxyProtocol bool

	// RefuseUnknownHosts answers 421 (RFC 9110 §15.5.20) to requests for a host without a site. Otherwise the first
	// site gets these requests. The first site always gets requests without a host (HTTP/1.0).
	RefuseUnknownHosts bool

	// RootPath, "" or "/a/b", is the path prefix of the whole server. RootPath is removed from the beginning of paths
	// and begins SCRIPT_NAME.
	RootPath string

	// OnMaxRequests is called once after MaxRequests requests, on a separate goroutine. 0 means never.
	MaxRequests   int
	OnMaxRequests func()

	// Current is called on the loop and must not block. Current calls the function done, on any goroutine, when the
	// requests that arrived before the call may be answered. Requests of the server to itself do not wait. If Current
	// is nil, no request waits.
	Current func(done func())

	// Needed, if not nil, is called on the loop for each request that waits at a Pending mount. Needed must not block.
	Needed func()

	// H2C allows HTTP/2 without TLS if the client begins with the preface of HTTP/2.
	H2C bool

	// Trace adds a field traceparent to each request, which continues the trace of the client or begins one (W3C Trace
	// Context).
	Trace bool

	// RequestID adds a field x-request-id to each request and its response: the id of a trusted proxy, or a new id.
	RequestID bool

	// ServerTiming adds the field Server-Timing to responses (https://www.w3.org/TR/server-timing/).
	ServerTiming bool

	// Answered, if not nil, is called on the loop for each answered request, except those with an override page. The
	// entry is valid until it returns.
	Answered func(*logfile.Entry)

	// AccessLog gets a line for each request. nil means no log and has no cost.
	AccessLog *logfile.AccessLog

	// LogClient writes a line about a client, such as "192.0.2.7:4711", to the error log.
	LogClient func(level logfile.Level, client, line string)
}

// A Server answers the requests of HTTP connections. The methods of a Server must be called on the event loop, unless
// their comments say otherwise.
type Server struct {
	Heads  Heads
	Set    *conn.Set
	Config Config

	loop     Loop
	offer    func(*Exchange, *Mount) bool
	table    *Table
	override *Override // nil if the application can serve
	secure   *conn.TLSServer

	// functions of AwaitCurrent that wait for the next call of Config.Current
	unasked []func()
	asked   bool // Config.Current will still call done

	exchanges []*Exchange // all exchanges, including ended exchanges
	free      *Exchange
	next      *request
	records   []*logfile.Record
	files     conn.Shares
	memory    conn.Shares

	descriptors conn.Shares // descriptors of connections and of HTTP/2 streams, by client

	gaveUp bool
	End    Ending // call conn.Set.Drain after a change to Leaving or Draining

	spoolWarnings logfile.Seldom

	descriptorWarnings logfile.Seldom
	limitWarnings      map[string]*logfile.Seldom
	undeclared         logfile.Seldom  // limits lines about clients that send forwarding fields
	unread             map[string]bool // fields of trusted proxies that warnUnread has logged

	metrics    *metrics.Recorder // nil if requests are not counted
	identifier *http1.Identifier // nil if requests get no identity
	timed      bool              // the access log or Debug needs the times of requests
	served     int64
}

// Table is a set of sites from Prepare.
type Table struct {
	sites []Site
	route *route.Table

	pending bool // some mount is Pending
	logged  bool // some site has its own setting for the access log
	users   bool // some site or mount has users: see dropForged
}

// Init initializes s for the connections in set. tls reports failed handshakes. name is the value of the field Server
// of responses. offer gives an exchange a Carrier if its request asks for a supported protocol at a mount with
// Upgrades. offer returns false if it has refused the exchange or the exchange must wait.
func (s *Server) Init(h Loop, set *conn.Set, tls *conn.TLSServer, offer func(x *Exchange, m *Mount) bool, name string) {
	s.loop, s.Set, s.secure, s.offer = h, set, tls, offer
	s.table, s.next, s.limitWarnings, s.unread = new(Table), newRequest(), limitWarnings(), map[string]bool{}
	s.files.Eases = func() { set.Soon(s.easeBodies) }
	s.descriptors.Eases = func() { set.Soon(s.easeDescriptors) }
	s.Heads.Template = http1.NewTemplate(name, set.Start.Unix())
}

func (s *Server) Configure(cfg Config) {
	s.Config, s.files.Max, s.memory.Max = cfg, int64(cfg.MaxSpools), cmp.Or(cfg.MaxBodyMemory, 96<<20)
	s.descriptors.Max = int64(cfg.MaxDescriptors)
	s.identifier = http1.NewIdentifier(cfg.Trace, cfg.RequestID)
	s.timed = cfg.AccessLog != nil || cfg.Answered != nil || cfg.ServerTiming || s.Set.Debug > 0 || s.table.logged
}

// Ending is how far a server has shut down.
type Ending uint8

const (
	Serving Ending = iota
	// responses close their connections, so that clients change to other servers
	Discouraged
	// in addition, no connection is accepted. Open connections stay until their next response or idle timeout
	Leaving
	// in addition, connections close after the requests that have arrived
	Draining
)

// Prepare copies sites and makes their table. In the copy, mounts without a source or handler get the handler h. source
// makes the Source of a mount with a handler. unbounded sets Mount.Unbounded. The error has one line. Prepare may be
// called on any goroutine, after Configure.
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
	t.route, err = route.New(routes, s.Config.RefuseUnknownHosts)
	return t, err
}

// Use makes t answer all requests from now on, including waiting requests. Active exchanges end with the former Table.
func (s *Server) Use(t *Table) {
	s.table = t
	s.Configure(s.Config)
	s.nameRoutes()
	s.replaced()
}

func (s *Server) Served() int64 { return s.served }

func (s *Server) tracef(format string, args ...any) { s.Set.Log(logfile.Debug, format, args...) }

type Site struct {
	// Names are hosts in any case and without a port: "example.org", "*.example.org" (any depth), "example.*" or
	// "[2001:db8::1]". Only the first site may have no names. The first site also answers requests for unknown hosts,
	// unless Config.RefuseUnknownHosts is set.
	Names []string

	// Table lists the mounts. The first mount that fits the path answers.
	Table []Mount

	Rules *Rules // rules for all responses; may be nil
	// Pages answers x with r, or with the site's page for the status of r, on the event loop. nil means the pages of
	// the server.
	Pages func(x *Exchange, r Reply)

	// AccessLog gets a line for each request of the site. nil means Config.AccessLog.
	AccessLog   *logfile.AccessLog
	NoAccessLog bool // requests of the site have no line

	// ErrorLog gets lines about clients of the site. nil means Config.LogClient.
	ErrorLog func(level logfile.Level, client, line string)

	// ErrorLogNumber is the number of this log for handlers: see Request.ErrorLog.
	ErrorLogNumber int

	// name for logs: the first of Names that is not a pattern, or ""
	name   string
	rules  *rules         // rules for requests that no mount accepts
	counts *metrics.Route // counter of requests that no mount accepts, or nil
}

// Mount maps paths to the first of Source, Rewrite and Handler that is not nil.
type Mount struct {
	// Pending means that the source is not ready: requests wait for other sites (Server.Use).
	Pending bool

	Prefix string // must begin the canonical path (http1.ResolvePath)

	// Within, if not empty, is a second prefix of the path. Within is not part of SCRIPT_NAME.
	Within string

	// Having, if not empty, is a pattern like Match. At least one segment of the path below Within must match Having,
	// too.
	Having string

	// Match, if not empty, is a pattern for names without a slash, as for path.Match: "*.php". For a Handler any
	// segment below Prefix may match, and SCRIPT_NAME ends with that segment. For others the last segment must match.
	Match string

	Except []string // prefixes that the path must not have

	// serves only requests without HTTPS; a trusted proxy may report the scheme
	Plain bool
	// serves all clients, without a password, even if the site has rules
	Open bool

	// rules do not replace Content-Security-Policy and Referrer-Policy of its responses
	OwnPolicy bool

	// requests of the mount have no line in an access log
	NoAccessLog bool

	// a login page: clients that the site allows may use it without a password and may send forms
	ToLogIn bool

	Source  Source         // a static.Source, a static.Fixed, a redirect.Redirect
	Rewrite *route.Rewrite // routing continues with the next mounts

	Handler Handler // nil means the Handler of Serve
	Cache   any     // a *cache.Compiled for answers of the Handler, or nil
	// responses of the Handler may be compressed
	Compress bool
	Gate     any // an *app.Gate that limits the active requests of the Handler, or nil
	// the number of this mount that the Handler gets in Request.Mount
	Index int

	// Filters change the responses of the Handler. The first one is next to the client. Upgraded connections, detached
	// sockets and exchanges made by Sub are not filtered.
	Filters []Filter

	// Abilities of the Handler beyond answering whole requests.
	Occupies Occupancy // how long each of its requests counts for conn.AcceptConfig.Concurrency
	Streams  bool      // the Handler accepts requests before their body has arrived (Request.More)
	// limit of bodies in bytes if Rules and Config.MaxBodySize set none; 0 means 10 MiB; negative means no limit
	MaxBody int64
	// in addition to Streams: the Handler requests the body (100 Continue) by its first credit, limits the size itself,
	// and may read slowly
	Asks     bool
	Upgrades Upgrades // the other protocol that the Handler may speak
	Group    string   // the group that each WebSocket of the mount joins; "" if none

	// set by Prepare: a response of the Handler may grow to any size before the loop receives it
	Unbounded bool

	// Resolved gives the Handler the resolved path (http1.ResolvePath) with the empty segments that the client has
	// sent, instead of the canonical one. Applications and servers decide themselves what these segments mean.
	Resolved bool

	// Receives, if not nil, gets requests before the Handler, and their bodies as they arrive. The Handler gets only
	// the requests that Receives forwards (Services.Next).
	Receives Handler

	Rules  *Rules // rules in addition to the rules of the site; may be nil
	Access Access // replaces the Access of the rules; may be nil

	// LocalWithoutLogin allows clients on this machine to use the mount without a login.
	LocalWithoutLogin bool

	rules   *rules
	counts  *metrics.Route
	missing notFoundCache
}

// Upgrades is the way in which a Handler may speak a protocol other than HTTP.
type Upgrades uint8

const (
	NoUpgrades Upgrades = iota
	// the Handler gets WebSocket messages as Input, and sends messages as Parts
	ToMessages
	ToUpstream   // the Handler may connect the client to an upstream
	ToDescriptor // the Handler gets Request.Socket
)

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

// Timeout returns the timeout of the rules of m or of its site; 0 means Config.Timeout. Call it in or after Prepare.
func (m *Mount) Timeout() time.Duration { return m.rules.timeout }

func (m *Mount) Hints() []byte { return m.rules.hints }
