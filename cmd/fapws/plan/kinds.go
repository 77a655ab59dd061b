package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/source/cache"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/proxy"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
)

type kind struct {
	key string
	// The function describes the value of the key for users, and reports whether the route has the key.
	what func(*Route) (value string, given bool)
	// The function adds the mounts of the route. The function returns an error if the key of this kind has a wrong
	// value, and passes mistakes in all other keys to builder.wrong.
	build func(*siteBuilder, *Route) ([]exchange.Mount, error)
	// The function adds the directory that the route serves and the rights that the route needs in a sandbox. It is nil
	// if the kind needs neither.
	reach func(*Route, *Reach)
	// The function returns patterns of the route's programs and pages in the root of the host or of the route, which must
	// not be sent as files; nil if the kind has no programs.
	programs func(*Route) []string
	ofHost   bool // a host can have the key, too
	// A route of this kind can lead back to the directory whose index file has the name of the route.
	leadsBack bool
}

// Messages list the keys in the order of kinds.
var kinds = []kind{
	{
		key:    "app",
		what:   func(r *Route) (string, bool) { return r.App.Name, r.App.Name != "" },
		build:  (*siteBuilder).app,
		ofHost: true,
	},
	{
		key:  "application",
		what: func(r *Route) (string, bool) { return r.Child, r.Child != "" },
		build: func(b *siteBuilder, r *Route) ([]exchange.Mount, error) {
			return b.behindDoor(r, r.Child, r.Child == b.host.Child)
		},
		ofHost: true,
	},
	{
		key:      "cgi",
		what:     func(r *Route) (string, bool) { return r.CGI.Folder, r.CGI.Enabled },
		build:    (*siteBuilder).cgi,
		reach:    func(_ *Route, to *Reach) { to.Programs = true },
		programs: (*Route).matched,
	},
	{
		key:      "php",
		what:     func(r *Route) (string, bool) { return cmp.Or(r.PHP.Command, programs.DefaultCommand), r.PHP.Enabled },
		build:    (*siteBuilder).php,
		reach:    func(_ *Route, to *Reach) { to.Programs, to.Unix = true, true },
		programs: func(r *Route) []string { return []string{cmp.Or(r.Match, phpPattern)} },
	},
	{
		key:      "fastcgi",
		what:     func(r *Route) (string, bool) { return r.FastCGI.Address, r.At.Set("fastcgi") },
		build:    (*siteBuilder).fastcgi,
		reach:    func(r *Route, to *Reach) { to.server(r.FastCGI.Address) },
		programs: (*Route).matched,
	},
	{
		key:   "ssi",
		what:  func(r *Route) (string, bool) { return r.Folder, r.SSI.Enabled },
		build: (*siteBuilder).ssi,
		reach: func(r *Route, to *Reach) {
			to.Roots, to.Programs = append(to.Roots, r.Folder), to.Programs || r.SSI.AllowExec
		},
		programs: (*Route).pagesOfRoot,
	},
	{
		key:       "redirect",
		what:      func(r *Route) (string, bool) { return r.Redirect, r.At.Set("redirect") },
		build:     (*siteBuilder).redirect,
		leadsBack: true,
	},
	{
		key:       "rewrite",
		what:      func(r *Route) (string, bool) { return r.Rewrite, r.At.Set("rewrite") },
		build:     (*siteBuilder).rewrite,
		leadsBack: true,
	},
	{
		key:   "proxy",
		what:  func(r *Route) (string, bool) { return strings.Join(r.Proxy, ", "), r.At.Set("proxy") },
		build: (*siteBuilder).proxy,
		reach: func(r *Route, to *Reach) {
			for _, address := range r.Proxy {
				to.server(address)
			}
		},
	},
	{
		key:   "upload",
		what:  func(r *Route) (string, bool) { return r.Upload.Path, r.Upload.Path != "" },
		build: (*siteBuilder).upload,
		reach: func(r *Route, to *Reach) { to.Uploads = append(to.Uploads, r.Upload.Path) },
	},
	{
		key:   "files",
		what:  func(r *Route) (string, bool) { return r.Folder, r.Folder != "" && !r.SSI.Enabled },
		build: (*siteBuilder).files,
		reach: func(r *Route, to *Reach) { to.Roots = append(to.Roots, r.Folder) },
	},
	{
		key:   "status",
		what:  func(r *Route) (string, bool) { return strconv.Itoa(r.Status), r.Status != 0 && !r.At.Set("redirect") },
		build: (*siteBuilder).status,
	},
}

func (r *Route) matched() []string {
	if r.Match == "" {
		return nil
	}
	return []string{r.Match}
}

// pagesOfRoot returns patterns of the pages of a route with the key ssi; none if they are in a directory of their own.
func (r *Route) pagesOfRoot() []string {
	switch {
	case r.Folder != "":
		return nil
	case r.Match != "":
		return []string{r.Match}
	}
	return r.SSI.names()
}

// If the host has the same application, the application keeps its paths, and the rules of the route apply to paths
// under the route's prefix. Otherwise the application is mounted at the prefix of the route.
func (b *siteBuilder) app(r *Route) ([]exchange.Mount, error) {
	if c := b.plan.Site.Children.of(r.App); c != nil {
		return b.behindDoor(r, c.Name, r.App.Name == b.host.App.Name)
	}
	mounts, err := b.appMounts(r)
	if err != nil {
		b.wrong(err)
		return nil, nil
	}
	for i := range mounts {
		m := &mounts[i]
		m.Match = r.Match
		switch {
		case r.App.Name == b.host.App.Name:
			m.Within = r.Prefix
		case m.Prefix == "" || m.Prefix == "/":
			m.Prefix = r.Prefix
		default:
			m.Prefix = strings.TrimRight(r.Prefix, "/") + m.Prefix
		}
	}
	if r.Prefix != "" { // unknown paths must not continue to other routes
		none, _ := static.NewFixed(static.FixedOptions{Status: 404})
		mounts = append(mounts, r.mounts(exchange.Mount{Source: none})...)
	}
	return mounts, nil
}

// appMounts returns the mounts of a route's application, one for each entry of PATHS. If an entry is a document root,
// appMounts opens the directory, so that the event loop can serve its files without Python. appMounts also opens
// directories that contain programs. Unless the route sets its own limit for request bodies, the route inherits the
// application's limit.
func (b *siteBuilder) appMounts(r *Route) ([]exchange.Mount, error) {
	contents := b.parts.Contents
	switch {
	case b.parts.Pending:
		return []exchange.Mount{{Pending: true}}, nil
	case contents == nil:
		return nil, nil // without loaded applications, Check cannot validate entries of PATHS
	}
	i, loaded := b.apps[r.App.Name]
	if !loaded {
		return nil, fmt.Errorf("%s was not loaded", r.App.Name)
	}
	script := b.scriptName(r)
	// the limit of the first application is a setting, which applies to all applications
	if i > 0 && contents.Apps[i].Class == "" {
		most, err := b.plan.Settings.BodyLimit(script, contents.Apps[i].Settings)
		if err != nil {
			return nil, process.ExitUsage(err)
		}
		r.MaxBodySize = cmp.Or(r.MaxBodySize, most)
	}
	var wrong []error
	mounts := contents.Apps[i].Table
	table := make([]exchange.Mount, len(mounts))
	for k := range mounts {
		var err error
		if table[k], err = b.mount(&mounts[k]); err != nil {
			wrong = append(wrong, process.ExitNotStarted("%s: PATHS[%d], %q: %v", script, k, mounts[k].Prefix, err))
		}
		if contents.Apps[i].Class != "" { // an object such as a Flask application limits bodies itself
			table[k].MaxBody = exchange.CollectedBody
			if table[k].Streams {
				table[k].MaxBody = -1
			}
		}
	}
	return table, errors.Join(wrong...)
}

func (b *siteBuilder) mount(m *pybridge.Mount) (mount exchange.Mount, err error) {
	mount = exchange.Mount{
		Prefix:   m.Prefix,
		Index:    m.Index,
		Resolved: m.CGI == "",
		Group:    m.Group(),
		Occupies: b.occupies(m),
		Streams:  m.Kind.Streams(),

		Application: m.CGI == "" && m.Upload == "",
		Roomy:       m.CGI == "" && m.Upload == "" && b.parts.Loader == nil,
	}
	if b.parts.Refresh != nil {
		mount.Filters = []exchange.Filter{b.parts.Refresh.filter}
	}
	switch {
	case m.Kind.WebSockets():
		mount.Upgrades = exchange.ToMessages
	// if handlers run inline, a WebSocket handler would block the event loop
	case b.conf.Threads > 0 && m.Kind.Detaches() && b.parts.Loader == nil:
		mount.Upgrades = exchange.ToDescriptor
	}
	if m.Cache != "" {
		var rule cache.Rule // fapws.cache.cached has encoded the rule, so decoding cannot fail
		if err = json.Unmarshal([]byte(m.Cache), &rule); err == nil {
			var compiled *cache.Compiled
			compiled, err = cache.Compile(rule)
			mount.Cache = b.parts.cached(compiled)
		}
		if err != nil {
			return mount, err
		}
	}
	if m.Login != "" {
		l := loginOf(m.Login)
		if login := b.login(&l); login != nil {
			mount.Access = login
		}
	}
	switch {
	case m.Static != "":
		options, err := static.ParseOptions(m.Static)
		if err != nil {
			return mount, err
		}
		options.Private = b.built.Private
		files, err := static.New(options)
		if err == nil {
			mount.Source = static.NewSource(files, false)
		}
		return mount, err
	case m.CGI != "":
		var warn func(error)
		if b.parts.Logs == nil {
			warn = func(err error) { b.warn(fmt.Sprintf("PATHS, %q: %v", m.Prefix, process.ExitPlain(err))) }
		}
		program, err := b.parts.Programs.mounted(m.CGI, warn)
		if err != nil {
			return mount, err
		}
		mount.Handler = b.add(program)
	case b.parts.Loader != nil:
		mount.Handler = b.add(&programs.LoaderMount{Loader: b.parts.Loader, Index: m.Index, Name: m.Name})
	}
	if m.Upload != "" {
		return mount, b.storeUploads(&mount, m.Upload)
	}
	return mount, nil
}

func (b *siteBuilder) occupies(m *pybridge.Mount) exchange.Occupancy {
	switch {
	case !m.Kind.OnThreads() || b.parts.Loader != nil:
		return exchange.OccupiesNothing
	case b.conf.Threads == 0:
		return exchange.OccupiesUntilHead
	}
	return exchange.OccupiesUntilEnd
}

func (b *siteBuilder) storeUploads(mount *exchange.Mount, text string) error {
	options, err := upload.ParseOptions(text)
	if err != nil {
		return err
	}
	if options.Pieces > 0 && b.parts.Loader != nil {
		return errors.New("upload: a generator function needs a process that stays, and --fork has one for each request")
	}
	options.Root, options.Group = b.conf.Chroot, b.parts.Uploads
	options.Log = func(client, line string) { b.parts.logClient(logfile.Error, client, line) }
	to, err := upload.New(options)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	mount.Streams, mount.Asks = true, true
	if handler := b.add(to); options.HandsOn {
		mount.Receives = handler
	} else {
		mount.Handler = handler
	}
	return nil
}

// loginOf decodes pybridge.Mount.Login. If text is "", only the field Enabled is set.
func loginOf(text string) (l Login) {
	_ = json.Unmarshal([]byte(text), &l) // contrib/fapws/_login.py has encoded the text, so decoding cannot fail
	l.Enabled = true
	return l
}

func (r *Route) mounts(m exchange.Mount) []exchange.Mount {
	m.Prefix, m.Match = r.Prefix, r.Match
	return []exchange.Mount{m}
}

func (b *siteBuilder) redirect(r *Route) ([]exchange.Mount, error) {
	to, err := static.NewRedirect(r.Redirect, r.Status)
	return r.mounts(exchange.Mount{Source: to}), err
}

func (b *siteBuilder) rewrite(r *Route) ([]exchange.Mount, error) {
	to, err := route.NewRewrite(r.Rewrite)
	return r.mounts(exchange.Mount{Rewrite: to}), err
}

func (b *siteBuilder) status(r *Route) ([]exchange.Mount, error) {
	answer, err := static.NewFixed(static.FixedOptions{Status: r.Status, Body: r.Text})
	return r.mounts(exchange.Mount{Source: answer}), err
}

// Proxying contains the keys about upstream servers. Routes inherit these keys from their host.
type Proxying struct{ proxy.Options }

func (b *siteBuilder) proxy(r *Route) ([]exchange.Mount, error) {
	settings.InheritTable(&r.Proxying, &b.host.Proxying, r.At)
	given := func(key string) bool { return r.At.Set(key) || b.host.At.Set(key) }
	o := r.Proxying.Options
	o.Targets, o.Log, o.Spans = r.Proxy, b.clientLog(logfile.Warning), b.parts.Spans
	o.Counts, o.Space = &b.built.proxies, b.workers().Space
	// the time limit starts again for each upstream, after the body was received, so the mount has no time limit of its
	// own
	if o.Timeout = b.conf.Server.Timeout; given("timeout") {
		o.Timeout = cmp.Or(r.Timeout, -1)
	}
	r.Timeout = -1
	if o.TunnelTimeout == 0 && given("proxy-tunnel-timeout") {
		o.TunnelTimeout = -1
	}
	secure := func(to string) bool { return strings.HasPrefix(to, "https:") }
	for _, key := range r.At.SetAmong(r.Proxying) {
		if strings.HasPrefix(key, "proxy-tls-") && !slices.ContainsFunc(r.Proxy, secure) {
			b.wrong(r.At.Errorf(key, "%s does not use TLS; this key requires an https:// URL",
				strings.Join(r.Proxy, ", ")))
		}
	}
	if o.NoVerify && given("proxy-tls-ca") && given("proxy-tls-verify") {
		b.recordMisuse(r.At, "proxy-tls-ca", errors.New("has no effect with proxy-tls-verify = false"))
	}
	if o.Health != "" {
		if _, _, err := proxy.ParseHealth(o.Health); err != nil {
			b.recordMisuse(r.At, "proxy-health", err)
		}
		// Servers that check Host, such as Django, must accept health checks as they accept the requests of clients.
		literal := func(name string) bool { return !strings.Contains(name, "*") }
		if i := slices.IndexFunc(b.host.Names, literal); i >= 0 && !o.ReplaceHost {
			o.HealthHost = b.host.Names[i]
		}
	}
	if o.Sticky && len(o.Targets) == 1 {
		b.recordMisuse(r.At, "proxy-sticky", errors.New("requires several servers in proxy"))
	}
	p, err := proxy.New(o)
	var ca *proxy.CAError
	switch {
	case errors.As(err, &ca):
		b.recordMisuse(r.At, "proxy-tls-ca", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	b.lookUp(r, p.Lookup())
	b.built.closers = append(b.built.closers, func() { _ = p.Close() })
	return r.mounts(exchange.Mount{Handler: p, Upgrades: exchange.ToUpstream, Resolved: true, Streams: o.Streams}), nil
}

// lookUp warns if DNS cannot resolve the names of upstreams. Only the command check sends DNS queries.
func (b *siteBuilder) lookUp(r *Route, names []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, name := range names {
		if folder := b.conf.Chroot; folder != "" && !looksUp(folder) {
			b.warn(fmt.Sprintf("proxy %s: the address of %s cannot be looked up in the chroot, as %s has neither etc/hosts "+
				"nor etc/resolv.conf (%s)", strings.Join(r.Proxy, ", "), name, folder, r.At.Key("proxy")))
		} else if b.plan.Command.Word == settings.WordCheck {
			if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
				b.warn(r.At.Errorf("proxy", "%v", err).Error())
			}
		}
	}
}

func looksUp(folder string) bool {
	for _, name := range []string{"etc/hosts", "etc/resolv.conf"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return true
		}
	}
	return false
}

type Upload struct {
	At *settings.TOMLTable
	upload.Options
}

// defaultUpload is the default size limit of an upload, in bytes. This limit equals the default in
// contrib/fapws/_upload.py.
const defaultUpload = 1 << 30

func (b *siteBuilder) upload(r *Route) ([]exchange.Mount, error) {
	at, o := r.Upload.At, r.Upload.Options
	o.MaxSize = cmp.Or(o.MaxSize, defaultUpload)
	o.Replace = o.Replace || !at.Set("replace")
	o.Resumable = o.Resumable || !at.Set("resumable")
	o.Root, o.Group, o.Log = b.conf.Chroot, b.parts.Uploads, b.clientLog(logfile.Error)
	if o.Channel != "" {
		if err := live.CheckChannelName(o.Channel); err != nil {
			b.wrong(at.Errorf("channel", "%v", err))
		}
	}
	to, err := upload.New(o)
	if err != nil {
		return nil, err
	}
	// report only a warning, because the directory's file system may be mounted later
	if err := b.cannotWrite(upload.Place(r.Upload.Path)); err != nil {
		b.warn(r.At.Errorf("upload", "%v; make it writable, or name another place", err).Error())
	}
	mounts := b.responder(r, to)
	mounts[0].Streams, mounts[0].Asks = true, true
	return mounts, nil
}
