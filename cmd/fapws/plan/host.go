package plan

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/source/app"
)

type Host struct {
	At *settings.TOMLTable
	Files
	Rules
	Proxying

	Names   []string        `key:"name" is:"host" value:"['example.org', '*.example.org']"`
	Default bool            `key:"default" value:"true"`
	Root    string          `key:"root" is:"path" value:"'/srv/site'"`
	App     SiteApplication `key:"app" value:"'pkg.mod:app'"`
	SSI     SSI             `key:"ssi" value:"true, ['*.html'] or { exec = true }"`
	Child   string          `key:"application" value:"'blog'"`

	CertFile string `key:"certfile" is:"path" value:"'/etc/ssl/example.org.pem'"`
	KeyFile  string `key:"keyfile" is:"path" value:"'/etc/ssl/example.org.key'"`

	ClientCAs string `key:"ca-certs" is:"path" value:"'clients.pem'"`

	HTTPSRedirect *bool `key:"https-redirect" value:"true"`

	AccessLog       string            `key:"access-log" is:"log" value:"'FILE'"`
	AccessLogFormat string            `key:"access-log-format" is:"format" value:"'common'"`
	ErrorLog        string            `key:"error-log" is:"log" value:"'FILE'"`
	ErrorPages      map[string]string `key:"error-page" value:"{ 404 = '/404.html' }"`

	Routes []*Route `key:"route" value:"[[host.route]]"`
}

func (h *Host) check(report func(error)) {
	for _, r := range h.Routes {
		r.check(h, report)
	}
	if h.At.Rejected != nil {
		return
	}
	if h.Root == "" && h.App.Name == "" && h.Child == "" && len(h.Routes) == 0 {
		report(h.At.Errorf("host", "nothing to serve: set root, app, application or a [[host.route]]"))
	}
	if h.Child != "" && h.At.Set("app") {
		report(h.At.Errorf("application", "a host has app or application, not both"))
	}
	if h.SSI.Enabled && h.Root == "" {
		report(h.At.Errorf("ssi", "no directory: set root for the host"))
	}
	if h.KeyFile != "" && h.CertFile == "" {
		report(h.At.Errorf("keyfile", "keyfile requires certfile, the certificate of this key"))
	}
}

// A siteBuilder creates the site of one host. Its fields contain the state that the routes of the host share.
type siteBuilder struct {
	ruleBuilder
	host *Host
	// writes to the error log of the host; nil if the host has no error log of its own
	errors   func(level logfile.Level, client, line string)
	programs []string // file patterns of the host's programs and pages; matching files are never sent to clients
	hidden   *route.Patterns
	routed   *route.Patterns  // file patterns for which the host has routes
	index    []string         // file names of scripts that serve directories
	behind   []exchange.Mount // mounts for paths without a file in the host's root
}

func (b *siteBuilder) site() exchange.Site {
	h := b.host
	if b.conf.SSI && h.Root != "" && !h.At.Set("ssi") {
		h.SSI.Enabled = true
	}
	b.at, b.programs, b.routed = h.At, h.programs(), route.NewPatterns(h.routed())
	b.hidden = route.NewPatterns(b.programs)
	s := exchange.Site{Names: h.Names, Rules: b.ruled(h.At, &h.Rules), Pages: b.errorPages()}
	b.hostLogs(&s)
	var parts []part
	for _, r := range h.Routes {
		parts = append(parts, part{r, b.route(r)})
	}
	for i, r := range h.Routes {
		if h.Root != "" && len(r.filesOfRoot()) > 0 {
			parts[i].mounts = b.filesUnder(r)
		}
	}
	rest := &Route{At: h.At, Files: h.Files, Rules: h.Rules, Folder: h.Root, App: h.App, SSI: h.SSI, Child: h.Child}
	if h.SSI.Enabled && h.Root != "" {
		parts = append(parts, part{rest, b.rules(rest, b.pages(rest, h.Root, ""))})
	}
	if h.Root != "" {
		parts = append(parts, part{rest, b.root(rest)})
	}
	for _, k := range kinds {
		if _, given := k.what(rest); given && k.ofHost {
			mounts, err := k.build(b, rest)
			if err != nil {
				b.wrong(h.At.Errorf(k.key, "%v", err))
			}
			parts = append(parts, part{rest, b.rules(rest, mounts)})
		}
	}
	b.warnHidden(parts)
	table := b.table(parts)
	checks := health(b.conf.Health, b.parts.Pending && !b.parts.Asleep, b.parts.Stops, b.parts.Stalled)
	s.Table = slices.Concat(checks, b.refreshes(), b.statusPage(table), b.authority(), b.tokens(), b.redirectToHTTPS(h),
		b.loginPages(), table)
	return s
}

type part struct {
	route  *Route
	mounts []exchange.Mount
}

// table returns the mounts of all parts. A part is a route with its mounts. If the route of a part has only rules,
// these rules apply to the mounts of all parts that follow in the list, for paths under the prefix of the route. For
// this purpose, table adds copies of these mounts, with the rules.
func (b *siteBuilder) table(parts []part) (table []exchange.Mount) {
	for i, p := range parts {
		table = append(table, p.mounts...)
		if p.route.onlyRules() {
			var copies []exchange.Mount
			app := false
			for _, behind := range parts[i+1:] {
				if len(behind.mounts) == 0 {
					continue // further rules
				}
				copies = append(copies, b.ruledCopy(p.route, behind)...)
				app = app || behind.route.App.Name != "" || behind.route.Child != ""
			}
			if !app {
				b.checkHandled(p.route, copies, ": no application, program or proxy serves its paths")
			}
			table = append(table, copies...)
		}
	}
	return table
}

// ruledCopy returns copies of the mounts of p with the rules of the route r. The copies apply only to paths under the
// prefix of r that match the pattern of r. The pattern can match a directory or a script within the path.
func (b *siteBuilder) ruledCopy(r *Route, p part) []exchange.Mount {
	copied := Route{At: r.At, Files: p.route.Files, Rules: r.Rules}
	copied.Rules.inherit(p.route.Rules, r.At)
	if r.At.Set(compressKey) {
		copied.Compress = r.Compress
	}
	if copied.gate = r.limitActive(); copied.gate == nil {
		copied.gate = p.route.limitActive()
	}
	if copied.AccessLog = r.AccessLog; copied.AccessLog == nil {
		copied.AccessLog = p.route.AccessLog
	}
	var mounts []exchange.Mount
	for _, m := range p.mounts {
		switch prefix := r.Prefix; {
		case m.Within == "" || strings.HasPrefix(prefix, m.Within):
			m.Within = prefix
		case !strings.HasPrefix(m.Within, prefix):
			continue // skip mounts that have no paths under the prefix of r
		}
		if !strings.HasPrefix(m.Prefix, r.Prefix) && !strings.HasPrefix(r.Prefix, m.Prefix) {
			continue
		}
		m.Having = r.Match
		if r.Cache != nil {
			m.Cache = nil
		}
		mounts = append(mounts, m)
	}
	return b.rules(&copied, mounts)
}

// routed returns patterns of file names that have their own route. If the index file of a directory matches a pattern,
// the request is routed again by the name of the index file, unless the route can lead back to the directory.
func (h *Host) routed() (names []string) {
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
	for _, r := range h.Routes {
		if slices.ContainsFunc(r.given(), func(k kind) bool { return k.leadsBack }) {
			continue
		}
		if r.Match != "" {
			names = append(names, r.Match)
		} else if name := string(r.Prefix[strings.LastIndexByte(r.Prefix, '/')+1:]); name != "" {
			names = append(names, escape.Replace(name)+"*")
		}
	}
	return names
}

// If the host has no application, mounts for scripts that handle missing files follow. Index scripts in directories are
// used with and without an application.
func (b *siteBuilder) root(r *Route) []exchange.Mount {
	var behind []exchange.Mount
	application := b.host.App.Name != "" || b.host.Child != ""
	if !application {
		behind = b.behind
	}
	fall := len(behind) > 0 || application
	return append(b.rules(r, b.rootFiles(r, fall)), behind...)
}

func (b *siteBuilder) rootFiles(r *Route, fall bool) []exchange.Mount {
	r.Index = slices.Concat(r.Index, b.index)
	if b.host.SSI.Enabled {
		return b.withPages(r, &b.host.SSI, fall)
	}
	return b.folder(r, fall)
}

// filesUnder adds mounts for a route without a kind. The mounts apply the route's keys to the host's files that match
// the route. Requests for missing files are handled by the mounts that follow in the host's table.
func (b *siteBuilder) filesUnder(r *Route) []exchange.Mount {
	under := *r
	under.Prefix, under.Folder = "", b.host.Root
	settings.InheritTable(&under.Files, &b.host.Files, r.At)
	under.Rules.inherit(b.host.Rules, r.At)
	// Use the key spa only if the route itself sets it: the key spa of the host applies only to paths without any
	// source.
	under.SPA = r.SPA
	mounts := b.rootFiles(&under, true)
	for i := range mounts {
		mounts[i].Within = r.Prefix
	}
	return b.rules(&under, mounts)
}

// Route is a table [[host.route]], which defines a source for some paths. A route without a kind defines no source: the
// rules and the keys for files of the route apply to whichever sources serve the paths of the route.
type Route struct {
	At *settings.TOMLTable
	Files
	Rules
	Proxying

	Prefix string `key:"prefix" is:"prefix" value:"'/static/'"`
	Match  string `key:"match" is:"pattern" value:"'*.php'"`

	App      SiteApplication `key:"app" value:"'blog.py'"`
	Folder   string          `key:"files" is:"path" value:"'DIR'"`
	CGI      CGI             `key:"cgi" value:"'DIR', true or { folder = 'DIR' }"`
	PHP      PHP             `key:"php" value:"true, 'php-cgi' or { children = 4 }"`
	FastCGI  FastCGI         `key:"fastcgi" value:"'unix:/run/php.sock'"`
	SSI      SSI             `key:"ssi" value:"true, ['*.html'] or { exec = true }"`
	Redirect string          `key:"redirect" value:"'https://example.org${path}'"`
	Rewrite  string          `key:"rewrite" value:"'/new/$1'"`
	Proxy    []string        `key:"proxy" is:"some" value:"'http://127.0.0.1:9000'"`
	Child    string          `key:"application" value:"'blog'"`
	Upload   Upload          `key:"upload" value:"'DIR' or { to = '/data/firmware.bin' }"`
	Status   int             `key:"status" range:"100-599" value:"404"`

	Text string `key:"text" value:"'Gone.'"`
	Root string `key:"root" is:"path" value:"'DIR'"`

	AccessLog *bool `key:"access-log" value:"false"`

	MaxActive int `key:"max-active" range:"1-1000000" value:"2"`
	gate      exchange.Wrap
}

func (r *Route) given() []kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool {
		_, given := k.what(r)
		return !given
	})
}

func (r *Route) onlyRules() bool {
	return len(r.given()) == 0 && (r.Prefix != "" || r.Match != "") &&
		(len(r.At.SetAmong(r.Rules)) > 0 || r.AccessLog != nil || r.At.Set(maxActiveKey) || r.At.Set(compressKey))
}

// limitActive returns the wrap that limits the number of active requests of the route, or nil if the number is not
// limited. All mounts of the route share one app.Gate, including mounts that have only rules.
func (r *Route) limitActive() exchange.Wrap {
	if r.gate == nil && r.MaxActive > 0 {
		r.gate = app.NewGate(r.MaxActive).Limit
	}
	return r.gate
}

// compressKey is a key for files that also applies to responses from all other sources.
const compressKey = "compress"

const maxActiveKey = "max-active"

// filesOfRoot returns the keys for files in a route without a kind.
func (r *Route) filesOfRoot() []string {
	if len(r.given()) > 0 {
		return nil
	}
	return r.At.SetAmong(r.Files)
}

// check reports keys that contradict each other or are missing. Missing keys are not reported if the decoder has
// rejected other keys, because these keys may be misspelled.
func (r *Route) check(h *Host, report func(error)) {
	of := r.given()
	if r.Root != "" && !slices.ContainsFunc(of, func(k kind) bool { return k.programs != nil }) {
		report(r.At.Errorf("root", "this key is for cgi, php, fastcgi and ssi; did you mean files?"))
		return
	}
	if r.At.Rejected != nil {
		return
	}
	if !r.At.Set("prefix") && !r.At.Set("match") {
		report(r.At.Errorf("prefix", `a route needs one, such as "/static/", or match, such as "*.php"`))
	}
	if keys := r.At.SetAmong(r.Proxying); len(keys) > 0 && !r.At.Set("proxy") {
		report(r.At.Errorf(keys[0], "requires proxy, such as proxy = \"http://127.0.0.1:9000\""))
		return
	}
	if r.Text != "" && !r.At.Set("status") {
		report(r.At.Errorf("text", "requires status, such as status = 404"))
		return
	}
	if keys := r.filesOfRoot(); len(keys) > 0 {
		keys = slices.DeleteFunc(keys, func(key string) bool { return key == compressKey })
		if h.Root == "" && len(keys) > 0 {
			report(r.At.Errorf(keys[0], "this key is for files: set files for the route, or root for the host"))
		}
		return
	}
	var keys []string
	for _, k := range kinds {
		keys = append(keys, k.key)
	}
	switch all := strings.Join(keys, ", "); {
	case len(of) > 1:
		report(r.At.Errorf(of[1].key, "this route already has %s in line %d; remove one of them, or give %s a [[host.route]] "+
			"of its own, since a route has one of %s", of[0].key, r.At.LineOf(of[0].key), of[1].key, all))
	case len(of) == 0 && !r.onlyRules():
		report(r.At.Errorf("route", "a route needs one of %s, or rules such as auth for the other sources of its paths",
			all))
	}
}

// Describe returns a description of the route for users, such as "files /srv/x".
func (r *Route) Describe() string {
	of := r.given()
	if len(of) == 0 {
		return "rules only"
	}
	value, _ := of[0].what(r)
	return of[0].key + " " + value
}

func (b *siteBuilder) route(r *Route) []exchange.Mount {
	of := r.given()
	if len(of) != 1 {
		return nil
	}
	// A kind may change the timeout of its mounts (proxy). The plan is built again when the application has loaded.
	defer func(timeout time.Duration) { r.Timeout = timeout }(r.Timeout)
	settings.InheritTable(&r.Files, &b.host.Files, r.At)
	r.Rules.inherit(b.host.Rules, r.At)
	mounts, err := of[0].build(b, r)
	// A missing root of the host is reported once. Errors of routes with programs in this root follow from it.
	follows := b.host.Root != "" && errors.Is(err, fs.ErrNotExist) && strings.Contains(err.Error(), " "+b.host.Root+": ")
	if err != nil && !follows && !slices.Contains(r.At.Rejected, of[0].key) {
		b.wrong(r.At.Errorf(of[0].key, "%v", err))
	}
	if r.App.Name == "" && r.Child == "" {
		b.checkHandled(r, mounts, " with "+of[0].key+": its responses need no time")
	}
	return b.rules(r, mounts)
}

// checkHandled reports the keys of r that affect only responses of handlers, if none of the route's mounts has a
// handler. The mounts of an application are not known after other mistakes, because the application is not loaded then.
func (b *siteBuilder) checkHandled(r *Route, mounts []exchange.Mount, reason string) {
	handled := func(m exchange.Mount) bool { return m.Source == nil && m.Rewrite == nil }
	for _, key := range []string{"early-hints", maxActiveKey} {
		if r.At.Set(key) && len(mounts) > 0 && !slices.ContainsFunc(mounts, handled) {
			b.wrong(r.At.Errorf(key, "has no effect%s", reason))
		}
	}
}

func (b *siteBuilder) hostLogs(s *exchange.Site) {
	h := b.host
	if b.parts.Logs == nil {
		b.checkLogs()
		return
	}
	var err error
	if h.AccessLog != "" || h.AccessLogFormat != "" {
		if s.AccessLog, err = b.parts.Logs.Access(h.AccessLog, h.AccessLogFormat); err != nil {
			b.wrong(h.At.Errorf("access-log", "%v", err))
		}
		s.NoAccessLog = h.AccessLog == "off"
	}
	if h.ErrorLog != "" {
		if s.ErrorLog, s.ErrorLogNumber, err = b.parts.Logs.Errors(h.ErrorLog); err != nil {
			b.wrong(h.At.Errorf("error-log", "%v", err))
		}
	}
	b.errors = s.ErrorLog
}

func (b *siteBuilder) checkLogs() {
	h := b.host
	err := MayLog(b.conf, h.AccessLog, "access log")
	if isErrorLog(b.conf, h.AccessLog) {
		err = notErrorLog(h.AccessLog)
	}
	if err != nil {
		b.wrong(h.At.Errorf("access-log", "%v", err))
	}
	if err := MayLog(b.conf, h.ErrorLog, "error log"); err != nil {
		b.wrong(h.At.Errorf("error-log", "%v", err))
	}
}

func (b *siteBuilder) clientLog(level logfile.Level) func(client, line string) {
	log := b.errors
	if log == nil {
		log = b.parts.logClient
	}
	return func(client, line string) { log(level, client, line) }
}
