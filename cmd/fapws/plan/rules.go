package plan

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/source/cache"
	"fapws/runtime/system"
)

// Rules contains the keys that apply to every kind of route. A route inherits missing keys from its host.
type Rules struct {
	TopRules
	Cache       *Cache        `key:"cache" value:"'60s', true, false or { ttl = '60s', stale = '30s' }"`
	MaxBodySize int64         `key:"max-body-size" value:"'1M'"`
	EarlyHints  []string      `key:"early-hints" is:"some" value:"['</a.css>; rel=preload; as=style']"`
	Timeout     time.Duration `key:"timeout" value:"'30s'"`
}

// TopRules contains the rules that can also be at the top of the configuration file. Hosts inherit these rules from the
// top of the file. At the top of the file, all other keys of Rules are settings.
type TopRules struct {
	HSTS          *HSTS          `key:"hsts" value:"'1y' or { max-age = '1y', subdomains = true }"`
	Headers       settings.Pairs `key:"headers" value:"{ 'X-Frame-Options' = 'DENY' }"`
	RemoveHeaders []string       `key:"remove-headers" value:"['X-Powered-By']"`
	Allow         Networks       `key:"allow" value:"['192.168.0.0/16']"`
	Deny          Networks       `key:"deny" value:"['all']"`
	Auth          *Auth          `key:"auth" value:"{ realm = 'admin', users = 'htpasswd' }"`
	Login         *Login         `key:"login" value:"{ users = 'users', title = 'Router', logo = 'logo.svg' }"`
	ClientCert    string         `key:"client-cert" is:"one required optional unverified none" value:"'required'"`
	Rate          Rates          `key:"rate" value:"'20/s burst 40', { rate = '100/m', by = 'user' } or false"`
	Methods       []string       `key:"methods" is:"some" value:"['GET', 'HEAD']"`
}

// inherit copies rules of the first argument, except rules that the table itself contains. If it contains the key
// auth or login, neither key is inherited.
func (r *Rules) inherit(outer Rules, table *settings.TOMLTable) {
	if table.Set("auth") || table.Set("login") {
		outer.Auth, outer.Login = nil, nil
	}
	settings.InheritTable(r, &outer, table)
}

func (c *SiteConfig) anyRules(f func(*TopRules) bool) bool {
	return f(&c.TopRules) || slices.ContainsFunc(c.Hosts, func(h *Host) bool {
		return f(&h.TopRules) || slices.ContainsFunc(h.Routes, func(r *Route) bool { return f(&r.TopRules) })
	})
}

func (c *SiteConfig) restricts() bool {
	return c.anyRules(func(r *TopRules) bool {
		return r.Auth != nil || r.Login.wanted() || len(r.Allow) > 0 || len(r.Deny) > 0 || r.ClientCert == certRequired
	})
}

func (c *SiteConfig) LogsIn() bool {
	return c.anyRules(func(r *TopRules) bool { return r.Login.wanted() })
}

func (c *SiteConfig) LimitsRates() bool {
	return c.anyRules(func(r *TopRules) bool { return len(r.Rate) > 0 })
}

// Auth is the value of the key auth: HTTP Basic authentication.
type Auth struct {
	At    *settings.TOMLTable
	Realm string `key:"realm"`
	Users string `key:"users" is:"path" needs:"the name of a file such as \"htpasswd\""` // in htpasswd format
}

// A ruleBuilder creates the rules of one host and its routes.
type ruleBuilder struct {
	*builder
	cas       string     // authorities of the client certificates; empty if none
	loginHere *hostLogin // nil if no rule requires a login
}

func (b *ruleBuilder) rules(r *Route, mounts []exchange.Mount) []exchange.Mount {
	b.cache(r, mounts)
	rules := b.ruled(r.At, &r.Rules)
	for i := range mounts {
		mounts[i].Rules = rules
		mounts[i].Compress = r.Compress
		if gate := r.limitActive(); gate != nil {
			mounts[i].Gate = gate
		}
		mounts[i].Exempt &^= exchange.FromAccessLog
		if r.AccessLog != nil && !*r.AccessLog {
			mounts[i].Exempt |= exchange.FromAccessLog
		}
	}
	return mounts
}

func (b *ruleBuilder) ruled(table *settings.TOMLTable, r *Rules) *exchange.Rules {
	unlimited := table.Set("timeout") && r.Timeout == 0 // the server may have a timeout
	if reflect.ValueOf(r).Elem().IsZero() && b.cas == "" && !unlimited {
		return nil
	}
	o := exchange.Rules{
		Set:         r.Headers,
		Remove:      r.RemoveHeaders,
		Allow:       r.Allow,
		Deny:        r.Deny,
		Methods:     r.Methods,
		MaxBodySize: r.MaxBodySize,
		EarlyHints:  r.EarlyHints,
		Timeout:     r.Timeout,
		Limits:      b.limits(table, r.Rate),
		Access:      b.access(r),
		Cert:        route.ClientCert{Authorities: b.cas, Need: b.certNeed(r.ClientCert)},
		NoLogin:     r.Login != nil && !r.Login.Enabled,
	}
	if unlimited {
		o.Timeout = -1
	}
	if table.Set("auth") && table.Set("login") && r.Login.wanted() {
		b.wrong(table.Errorf("login", "auth and login exclude each other; use one of them here, and the other for other paths"))
	}
	if r.HSTS != nil {
		o.SetSecure = []http1.HeaderField{{Name: "Strict-Transport-Security", Value: r.HSTS.value()}}
	}
	rules, err := exchange.NewRules(o)
	if err == nil {
		return rules
	}
	for _, part := range []struct {
		key   string
		rules exchange.Rules
	}{{"headers", exchange.Rules{Set: o.Set}}, {"remove-headers", exchange.Rules{Remove: o.Remove}},
		{"methods", exchange.Rules{Methods: o.Methods}}, {"early-hints", exchange.Rules{EarlyHints: o.EarlyHints}}} {
		if _, err := exchange.NewRules(part.rules); err != nil {
			b.recordMisuse(table, part.key, err)
		}
	}
	return nil
}

// certNeed translates a value of the key client-cert. If rule is empty, the setting cert-reqs applies. Over HTTPS, the
// handshake already enforces cert-reqs. The result of certNeed enforces it for clients that use plain HTTP or a unix
// socket.
func (b *ruleBuilder) certNeed(rule string) route.CertNeed {
	switch cmp.Or(rule, b.conf.CertReqs) {
	case certRequired:
		return route.VerifiedCert
	case "optional":
		return route.NoBadCert
	}
	return route.AnyClient
}

func (b *ruleBuilder) access(r *Rules) exchange.Access {
	basic, login := b.auth(r.Auth), b.login(r.Login)
	switch {
	case login != nil:
		return login
	case basic != nil:
		return basic
	}
	return nil
}

func (b *ruleBuilder) auth(a *Auth) *auth.Basic {
	if a == nil {
		return nil
	}
	if known, ok := b.auths[a]; ok {
		return known
	}
	var basic *auth.Basic
	users, err := auth.NewUsers(b.passwords, a.Users, false, func(line string) { b.parts.Log(logfile.Error, line) })
	if err != nil {
		b.wrong(a.At.Errorf("users", "%v", err))
	} else if basic, err = auth.NewBasic(a.Realm, users); err != nil {
		b.wrong(a.At.Errorf("realm", "%v", err))
	}
	b.auths[a] = basic
	return basic
}

// Cache is the value of the key cache, which defines which responses of a route are cached. If Enabled is false, no
// response is cached.
type Cache struct {
	Enabled bool `short:"true, false"`
	cache.Rule
}

// cache applies the cache rule of a route, or the rule from --cache, to the route's mounts. A rule in an entry of PATHS
// takes precedence.
func (b *ruleBuilder) cache(r *Route, mounts []exchange.Mount) {
	rule := cache.Rule{}
	switch {
	case r.Cache != nil && !r.Cache.Enabled, r.Cache == nil && !b.conf.Cache:
		return
	case r.Cache != nil:
		rule = r.Cache.Rule
	}
	rule.Compress = r.Compress
	compiled, err := cache.Compile(rule)
	if err != nil {
		b.wrong(r.At.Errorf("cache", "%v", err))
		return
	}
	for i := range mounts {
		if m := &mounts[i]; m.Cache == nil {
			m.Cache = b.parts.cached(compiled)
		}
	}
}

type Login struct {
	Enabled bool `short:"false"` // false if users need not log in
	At      *settings.TOMLTable
	// file with users in htpasswd format; the file may be missing
	Users string `key:"users" is:"path" needs:"such as \"users\"" short:"a file of users such as \"users\""`
	Title string `key:"title"`
	Logo  string `key:"logo" is:"path"`
}

func (l *Login) wanted() bool { return l != nil && l.Enabled }

func (c *SiteConfig) UserFiles(conf *settings.Config) (files []string) {
	files = append(files, conf.LoginUsers)
	c.anyRules(func(r *TopRules) bool {
		if r.Login.wanted() {
			files = append(files, r.Login.Users)
		}
		if r.Auth != nil {
			files = append(files, r.Auth.Users)
		}
		return false
	})
	return eachOnce(files)
}

type hostLogin struct {
	login *auth.Login // nil if the builder works for Check
	users string
}

func (b *ruleBuilder) login(l *Login) *auth.Login {
	if !l.wanted() {
		return nil
	}
	users := absolute(l.Users)
	if known := b.loginHere; known != nil {
		if known.users != users {
			b.wrong(l.At.Errorf("login", "this host has users in %s already; a host has one file of users for login",
				known.users))
		}
		return known.login
	}
	made, err := b.newLogin(l, users)
	if err != nil {
		b.wrong(l.At.Errorf("login", "%v", err))
		return nil
	}
	b.loginHere = &hostLogin{made, users}
	return made
}

func (b *ruleBuilder) newLogin(l *Login, path string) (*auth.Login, error) {
	users, err := auth.NewUsers(b.passwords, path, true, func(line string) { b.parts.Log(logfile.Error, line) })
	if err != nil {
		return nil, err
	}
	image, err := logo(l.Logo)
	if err == nil && users.Empty() {
		if why := b.cannotWrite(filepath.Dir(path)); why != nil {
			err = fmt.Errorf("%s has no user yet, and the form of login could not make the first one: %w; make the "+
				"directory writable, or type: %s", path, why, auth.AddCommand(path))
		}
	}
	if err == nil && b.parts.Logs == nil {
		if dir, why := b.plan.mayKeep(filepath.Join(b.plan.stateDir, loginDir)); why != nil {
			err = fmt.Errorf("cannot keep sessions in %s: %w; it must be writable and have room, or name another "+
				"directory with --state-dir", dir, why)
		}
	}
	if err != nil || b.parts.Logs == nil {
		return nil, err
	}
	conf := b.conf
	warn := func(line string) { b.parts.Log(logfile.Warning, line) }
	if b.state == nil {
		if b.state, err = auth.OpenLoginState(filepath.Join(b.plan.stateDir, loginDir), conf.LoginAge, warn); err != nil {
			return nil, err
		}
		b.built.closers = append(b.built.closers, b.state.Close)
		b.built.Writes = append(b.built.Writes, filepath.Join(b.plan.stateDir, loginDir))
	}
	b.built.Reads = append(b.built.Reads, filepath.Dir(path))
	made := auth.NewLogin(auth.LoginOptions{
		Users: users, State: b.state, Idle: conf.LoginIdle, Age: conf.LoginAge, Title: l.Title, Logo: image,
		Run: b.parts.Run,
		ByCommand: conf.Sandboxed() && !slices.ContainsFunc(conf.SandboxWrite, func(dir string) bool {
			return isBelow(path, dir)
		}),
		Log:   warn,
		Event: func(client, line string) { b.parts.logClient(logfile.Info, client, line) },
	})
	made.Announce()
	return made, nil
}

func isBelow(file, dir string) bool {
	way, err := filepath.Rel(absolute(dir), absolute(filepath.Dir(file)))
	return err == nil && filepath.IsLocal(way)
}

func (b *ruleBuilder) cannotWrite(place string) error {
	if !confine.MayBecome(b.conf.User, b.conf.Group) {
		return nil
	}
	if err := unix.Faccessat(unix.AT_FDCWD, place, unix.W_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("user %s cannot write to %s: %w", system.UserName(os.Geteuid()), place, err)
	}
	return nil
}

const loginDir = "login"

// Maximum size of the logo, in bytes. Each page contains the whole logo.
const maxLogo = 32 << 10

func logo(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if system.Replaceable(abs) {
		return "", fmt.Errorf("logo: the application can replace %s by a link to another file; move it out of the "+
			"directories of sandbox-write, logs and uploads", path)
	}
	image, err := os.ReadFile(abs)
	if err != nil {
		return "", err
	}
	kind := http1.MediaTypeByName(filepath.Base(path))
	if !strings.HasPrefix(kind, "image/") || len(image) > maxLogo {
		return "", fmt.Errorf("logo: %s is not an image of up to %d KiB", path, maxLogo>>10)
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(image), nil
}

// maxForms limits the number of concurrent requests for the login form. Most of these requests wait for a password
// check.
const maxForms = 1024

func (b *ruleBuilder) loginPages() []exchange.Mount {
	if b.loginHere == nil || b.loginHere.login == nil {
		return nil
	}
	body, _ := exchange.NewRules(exchange.Rules{MaxBodySize: auth.MaxLoginBody})
	// use a pool that is separate from proxies and programs
	pool := backend.New(maxForms, func(line string) { b.parts.Log(logfile.Error, line) })
	return []exchange.Mount{
		{Prefix: auth.FormPath, Exempt: exchange.FromLogin | exchange.FromPolicy, Rules: body,
			Handler: pool.Handler(backend.Func(b.loginHere.login.Form))},
		{Prefix: auth.OutPath, Exempt: exchange.FromLogin | exchange.FromPolicy, Rules: body,
			Handler: pool.Handler(backend.Func(b.loginHere.login.Out))},
	}
}
