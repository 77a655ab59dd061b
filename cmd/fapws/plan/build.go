package plan

import (
	"io"
	"sync/atomic"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
)

// Parts are the input of the sites of a serving process, in addition to its settings.
type Parts struct {
	Contents *pybridge.Contents // the loaded applications; nil without any
	Pending  bool               // the applications are not loaded yet: requests for them wait
	Asleep   bool               // they are loaded when a request needs them
	Loader   *programs.Loader   // its children run their handlers; nil: this process does
	Programs *Programs

	// Token returns the answer to a public authority that asks for a token; nil: none does. It may be called on any
	// goroutine.
	Token func(token string) ([]byte, error)

	Authority []byte                      // certificate of the machine's own authority, PEM; nil without one
	Logs      *LogFiles                   // nil: only mistakes are looked for, so nothing is started or created
	Log       func(logfile.Level, string) // writes a line for the operator; it is safe for concurrent use
	Run       string                      // a name of this run of the server, which its processes share; "": there is one process
	Stops     *atomic.Bool                // the server is about to stop
	Stalled   func() bool                 // reports whether requests for the application wait in vain; nil: they do not
	Status    backend.Responder           // the status page; nil: there is none
	Uploads   *upload.Group               // has the uploads of all mounts
}

// logClient writes a line about a client, "192.0.2.7:4711".
func (p *Parts) logClient(level logfile.Level, client, line string) {
	if p.Logs != nil {
		p.Logs.Client(0, level, client, line)
	}
}

// Build makes the sites of a process that serves with the settings conf. The error is an
// *process.ExitError.
func (p *Plan) Build(conf *settings.Config, parts Parts) (*Built, error) {
	built, err := p.build(conf, parts)
	if err != nil {
		return nil, process.ExitFrom(err)
	}
	return built, nil
}

// Check looks for mistakes in the sites that Build would make of contents; nil: of all except the
// applications. The error is an *process.ExitError or has mistakes in the file.
func (p *Plan) Check(conf *settings.Config, contents *pybridge.Contents, log func(logfile.Level, string)) error {
	built, err := p.build(conf, Parts{Contents: contents, Programs: &Programs{}, Log: log})
	if err != nil {
		return err
	}
	built.Close()
	return nil
}

// build is Build, and without parts.Logs Check.
func (p *Plan) build(conf *settings.Config, parts Parts) (*Built, error) {
	c := p.Site
	b := &builder{plan: p, conf: conf, parts: &parts, built: &Built{Private: p.private(conf, parts.Contents)}, passwords: auth.NewChecker(),
		auths: map[*Auth]*auth.Basic{}}
	settings.InheritTable(&c.Files, &conf.Options, c.At)
	if users := conf.LoginUsers; users != "" && (c.Login == nil || p.Settings.Source("login").Level != settings.FromFile) {
		c.Login = &Login{Given: true, At: c.At, Users: users} // it goes before the key of that name, unless it stands in the same file
	}
	for i, a := range c.Asks(conf) {
		h, own := a.Host, i == 0 && c.ownHost(conf)
		if b.cas = a.CAs; own {
			b.own(c, h)
		} else {
			settings.InheritTable(&h.Files, &c.Files, h.At)
			h.Rules.inherit(Rules{TopRules: c.TopRules}, h.At)
		}
		s := b.host(h)
		if !own && (h.Default || len(h.Names) == 0) {
			if c.ownHost(conf) {
				b.wrong(h.At.Errorf("default", "%s is already the default for all other hosts; give this host a name", c.What(conf)))
			}
			b.built.Sites = append([]exchange.Site{s}, b.built.Sites...)
		} else {
			b.built.Sites = append(b.built.Sites, s)
		}
	}
	b.checkFallbacks()
	if err := settings.JoinPath(b.errs...); err != nil {
		b.built.Close()
		return nil, err
	}
	return b.built, nil
}

// Built is the result of Build.
type Built struct {
	Sites []exchange.Site

	// Private are the files that no site serves.
	Private *static.Private

	// Reads and Writes are directories in which files are replaced while the sites are served: those of users and sessions.
	Reads, Writes []string

	pool    *backend.Pool
	idle    []func() int // connections of each responder that has some
	closers []func()
}

// Close gives everything up, when nothing is served any more.
func (b *Built) Close() {
	for _, f := range b.closers {
		f()
	}
}

// Upstreams are figures of responders: upstreams and programs.
type Upstreams struct {
	Active int   // requests that they have
	Failed int64 // requests that they have not answered, or not to the end
	Idle   int   // connections that wait for a request
}

// Upstreams returns the figures of all responders; false: there are none. It is safe for concurrent use once Build has returned.
func (b *Built) Upstreams() (u Upstreams, some bool) {
	if b.pool == nil {
		return u, false
	}
	u.Active, u.Failed = b.pool.Active(), b.pool.Failed()
	for _, idle := range b.idle {
		u.Idle += idle()
	}
	return u, true
}

// builder is a Build under way.
type builder struct {
	plan   *Plan
	conf   *settings.Config
	parts  *Parts
	built  *Built
	errs   []error
	at     *settings.TOMLTable                            // of the host that is being built
	errors func(level logfile.Level, client, line string) // of it

	cas string // of the host: authorities whose certificates its clients are asked for; "": none

	auths     map[*Auth]*auth.Basic
	passwords *auth.Checker    // of all hosts
	state     *auth.LoginState // of all sessions; nil: none was needed yet
	page      exchange.Handler // of all hosts: the status page; nil: none was needed yet
	loginHere *hostLogin       // of the host; nil: no user has to log in
	hidden    []string         // of the host: patterns of programs, which are never sent as files
	index     []string         // of the host: names of programs that answer for a folder
	routed    []string         // of the host: patterns of files that have a route
	opened    []opened         // of all hosts
	behind    []exchange.Mount // of the host: what answers where its root has no file
}

// wrong notes a mistake, a whole line. One that several routes have from their host is reported once.
func (b *builder) wrong(err error) {
	for _, other := range b.errs {
		if other.Error() == err.Error() {
			return
		}
	}
	b.errs = append(b.errs, err)
}

// misused notes that the value of a key is wrong where it stands: in a table, else
// in that of its host, else at the top of the file, or on the command line.
func (b *builder) misused(at *settings.TOMLTable, key string, err error) {
	for _, one := range [...]*settings.TOMLTable{at, b.at, b.plan.Site.At} {
		if one.Set(key) {
			b.wrong(one.Errorf(key, "%v", err))
			return
		}
	}
	if b.plan.Settings.Source(key).Level == settings.FromDefault {
		b.wrong(at.Errorf(key, "%v", err))
	} else {
		b.wrong(b.plan.Settings.Wrong(key, err))
	}
}

// maxBackend is how many requests all responders together answer at a time.
const maxBackend = 1024

// responder mounts a source that is written in Go.
func (b *builder) responder(r *Route, to backend.Responder) []exchange.Mount {
	return r.mounts(exchange.Mount{Handler: b.add(to)})
}

// Sends says which fields have a file sent.
func Sends(conf *settings.Config) backend.Sends {
	return backend.Sends{File: len(conf.Server.SendfileRoots) > 0, Accel: len(conf.Server.AccelRoots) > 0}
}

func (b *builder) add(to backend.Responder) exchange.Handler {
	if b.built.pool == nil {
		b.built.pool = backend.New(maxBackend, func(line string) { b.parts.Log(logfile.Error, line) })
		b.built.pool.Sends = Sends(b.conf)
	}
	if p, ok := to.(interface{ Idle() int }); ok {
		b.built.idle = append(b.built.idle, p.Idle)
	}
	if c, ok := to.(io.Closer); ok { // a proxy, an upload
		b.built.closers = append(b.built.closers, func() { _ = c.Close() }) // an error would not matter any more
	}
	return b.built.pool.Handler(to)
}
