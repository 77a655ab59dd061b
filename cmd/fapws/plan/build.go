package plan

import (
	"io"
	"slices"
	"sync/atomic"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/otel"
	"fapws/runtime/ratelimit"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/proxy"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
)

type Parts struct {
	Contents *pybridge.Contents // contents of the loaded applications; nil if no applications are loaded
	Pending  bool               // requests for applications wait until the applications have loaded
	Asleep   bool               // applications are loaded only when a request needs them
	Quiet    bool               // a different process logs the warnings about the sites
	// the loader whose child processes run the handlers; nil if handlers run in this process
	Loader   *programs.Loader
	Programs *Programs

	// Token returns the response to a public authority that requests a token; nil if no certificates are ordered. It
	// must be safe for concurrent use.
	Token func(token string) ([]byte, error)

	// certificate of the machine's own authority in PEM; nil if none
	Authority []byte
	Logs      *LogFiles // nil for Check, which must not start or create anything
	// writes a line for the operator and is safe for concurrent use
	Log func(logfile.Level, string)
	// name of this run of the server, which all of its processes share; "" for a single process
	Run   string
	Stops *atomic.Bool
	// reports whether requests wait because the application is stuck; nil without an application
	Stalled func() bool
	Status  backend.Responder // nil without a status page
	Uploads *upload.Group
	Rates   *ratelimit.Table // nil if the configuration has no rate limits, and for Check
	Spans   *otel.Exporter   // nil if no spans are sent, and for Check
	Refresh *Refresh         // nil if pages do not refresh themselves
	// Cached is runtime.Server.Cached; nil for Check. It can be called as soon as the sites are served.
	Cached func(*cache.Compiled, exchange.Source) exchange.Source
}

func (p *Parts) cached(rule *cache.Compiled) exchange.Wrap {
	if p.Cached == nil {
		return nil
	}
	return func(source exchange.Source) exchange.Source { return p.Cached(rule, source) }
}

func (p *Parts) logClient(level logfile.Level, client, line string) {
	if p.Logs != nil {
		p.Logs.Client(0, level, client, line)
	}
}

type Built struct {
	Sites []exchange.Site

	// Private lists files that no site may serve.
	Private *static.Private

	// Reads and Writes list directories that the login needs in a sandbox. Reads contains the directories of the user
	// files, and Writes contains the directory of the sessions. Directories are listed instead of files, because the
	// files can be replaced while the sites are served.
	Reads, Writes []string

	pool    *backend.Pool // nil without responders and proxies
	proxies proxy.Counts
	closers []func()
}

// Close closes the sources of the sites, and must not be called while a request is active.
func (b *Built) Close() {
	for _, f := range b.closers {
		f()
	}
}

type Upstreams struct {
	Active int
	Failed int64 // number of requests that got no complete response
	Idle   int
}

// Upstreams returns statistics about all responders and proxies; selective is false if there are none. Upstreams is safe
// for concurrent use.
func (b *Built) Upstreams() (u Upstreams, selective bool) {
	if b.pool == nil {
		return u, false
	}
	u.Active, u.Failed = b.pool.Active()+int(b.proxies.Active.Load()), b.pool.Failed()+b.proxies.Failed.Load()
	u.Idle = int(b.proxies.Idle.Load())
	return u, true
}

// A builder creates the sites of all hosts, and collects mistakes in their configuration.
type builder struct {
	plan   *Plan
	conf   *settings.Config
	parts  *Parts
	built  *Built
	errs   []error
	at     *settings.TOMLTable // table of the current host
	opened []opened
	warned map[string]bool // lines that warn has logged

	apps  map[string]int // index of each application in SiteConfig.Apps and in Parts.Contents, by its name
	auths map[*Auth]*auth.Basic
	// map from each rate limit to its number; limits are numbered in the order of the configuration
	rates     map[*Rate]int
	passwords *auth.Checker
	state     *auth.LoginState
	page      exchange.Handler // handler of the status page for all hosts; nil until needed
	refresh   exchange.Handler // handler of Parts.Refresh for all hosts; nil until needed
}

func newBuilder(p *Plan, conf *settings.Config, parts *Parts) *builder {
	apps := map[string]int{}
	for i, app := range p.Site.Apps() {
		apps[app.Name] = i
	}
	return &builder{apps: apps, plan: p, conf: conf, parts: parts, built: &Built{Private: p.private(conf, parts.Contents)},
		passwords: auth.NewChecker(), auths: map[*Auth]*auth.Basic{}, rates: map[*Rate]int{}, warned: map[string]bool{}}
}

// build implements Plan.Build or, if Parts.Logs is nil, Plan.Check.
func (b *builder) build() (*Built, error) {
	p, c, conf := b.plan, b.plan.Site, b.conf
	settings.InheritTable(&c.Files, &conf.Options, c.At)
	if users := conf.LoginUsers; users != "" && (c.Login == nil || p.Settings.Source("login").Level != settings.FromFile) {
		// The setting --login overrides the key login, unless the configuration file contains both.
		c.Login = &Login{Enabled: true, At: c.At, Users: users}
	}
	asked := c.Asks(conf)
	b.built.Sites = make([]exchange.Site, 0, len(asked))
	for i, a := range asked {
		h, own := a.Host, i == 0 && c.ownHost(conf)
		if own {
			b.own(c, h)
		} else {
			settings.InheritTable(&h.Files, &c.Files, h.At)
			h.Rules.inherit(Rules{TopRules: c.TopRules}, h.At)
		}
		s := (&siteBuilder{ruleBuilder: ruleBuilder{builder: b, cas: a.CAs}, host: h}).site()
		if !own && (h.Default || len(h.Names) == 0) {
			if c.ownHost(conf) {
				b.wrong(noName(h, "%s serves all other names already", c.Describe(conf)))
			}
			b.built.Sites = append([]exchange.Site{s}, b.built.Sites...)
		} else {
			b.built.Sites = append(b.built.Sites, s)
		}
	}
	if c.UnknownHost == "421" && len(asked) > 0 && len(b.built.Sites[0].Names) > 0 {
		b.built.Sites = append([]exchange.Site{b.misdirected()}, b.built.Sites...)
	}
	b.checkFallbacks()
	if b.parts.Logs == nil && conf.OTel {
		checkSpans(b)
	}
	if err := settings.JoinPath(b.errs...); err != nil {
		b.built.Close()
		return nil, err
	}
	return b.built, nil
}

// warn logs a warning about the sites once, unless a later build or a different process repeats it.
func (b *builder) warn(line string) {
	if !b.parts.Pending && !b.parts.Quiet && !b.warned[line] {
		b.warned[line] = true
		b.parts.Log(logfile.Warning, line)
	}
}

// wrong records a mistake, but only once if several routes inherit the mistake from their host.
func (b *builder) wrong(err error) {
	if !slices.ContainsFunc(b.errs, func(other error) bool { return other.Error() == err.Error() }) {
		b.errs = append(b.errs, err)
	}
}

// recordMisuse records a wrong value for a key. The error names the place where the key is set: the table itself, the
// table of its host, the top of the file, or the command line.
func (b *builder) recordMisuse(table *settings.TOMLTable, key string, err error) {
	for _, one := range [...]*settings.TOMLTable{table, b.at, b.plan.Site.At} {
		if one.Set(key) {
			b.wrong(one.Errorf(key, "%v", err))
			return
		}
	}
	if b.plan.Settings.Source(key).Level == settings.FromDefault {
		b.wrong(table.Errorf(key, "%v", err))
	} else {
		b.wrong(b.plan.Settings.Wrong(key, err))
	}
}

const maxBackend = 1024

func (b *builder) responder(r *Route, to backend.Responder) []exchange.Mount {
	return r.mounts(exchange.Mount{Handler: b.add(to)})
}

func (b *builder) add(to backend.Responder) exchange.Handler {
	if c, ok := to.(io.Closer); ok {
		b.built.closers = append(b.built.closers, func() { _ = c.Close() })
	}
	return b.workers().Handler(to)
}

// workers returns the pool of all responders.
func (b *builder) workers() *backend.Pool {
	if b.built.pool == nil {
		b.built.pool = backend.New(maxBackend, func(line string) { b.parts.Log(logfile.Error, line) })
		b.built.pool.Sends = b.parts.Programs.Sends
	}
	return b.built.pool
}
