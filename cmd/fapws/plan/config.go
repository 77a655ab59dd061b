package plan

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/source/proxy"
)

type SiteConfig struct {
	At    *settings.TOMLTable
	Files // defaults for all hosts
	TopRules

	App         SiteApplication `key:"app" value:"'app.py'"`
	Root        string          `key:"root" is:"path" value:"'./site'"`
	Args        []string        `key:"args" value:"['one', 'two']"`
	UnknownHost string          `key:"unknown-host" is:"one default 421" value:"'421'"`
	Hosts       []*Host         `key:"host" value:"[[host]]"`
	Children    Children        `key:"application" value:"[application.NAME]"`
}

func FileKeys() []string {
	return slices.DeleteFunc(settings.KeysOf(SiteConfig{}), func(key string) bool {
		return slices.Contains(inherited, key)
	})
}

// inherited contains the keys in Files that are settings at the top of the configuration file: all keys except types.
var inherited = slices.DeleteFunc(settings.KeysOf(Files{}), func(key string) bool { return key == "types" })

// readSites decodes the sites in the configuration file f, which may be nil, and calls report for each mistake.
func readSites(f *settings.TOMLFile, report func(error)) *SiteConfig {
	c := &SiteConfig{}
	if f == nil {
		return c
	}
	ours := &settings.TOMLTable{File: f}
	keys := FileKeys()
	for _, v := range f.Top.Entries { // package settings checks all remaining keys
		if slices.Contains(keys, v.Key) && (v.Key != "host" || v.IsTables()) {
			ours.Entries = append(ours.Entries, v)
		}
	}
	settings.DecodeTOML(ours, c, report)
	c.shareApp(SiteApplication{})
	for _, h := range c.Hosts {
		h.check(report)
	}
	c.checkNames(report)
	c.checkChildren(report)
	return c
}

// shareApp sets the application at the top of the file for all hosts that have neither an application nor a root. It
// also replaces first, the application that a previous call has set.
func (c *SiteConfig) shareApp(first SiteApplication) {
	for _, h := range c.Hosts {
		if h.Root == "" && h.App.Name == first.Name && h.Child == "" && !h.At.Set("app") {
			h.App = c.App
		}
	}
}

// checkNames checks that no host name belongs to two hosts, and that only one host serves unknown host names.
func (c *SiteConfig) checkNames(report func(error)) {
	owners := map[string]*Host{}
	for _, h := range c.Hosts {
		names := h.Names
		if h.Default || len(names) == 0 {
			names = append(slices.Clone(names), "")
		}
		for _, name := range names {
			switch first := owners[name]; {
			case first == nil:
				owners[name] = h
			case name == "":
				report(noName(h, "the host of line %d serves all other names already", first.At.Line))
			case first != h:
				report(h.At.Errorf("name", "%s belongs to the host of line %d already", name, first.At.Line))
			}
		}
	}
}

// noName returns the error about a host that has no name although another one serves the names that no host has.
func noName(h *Host, format string, args ...any) error {
	if h.At.Set("default") {
		return h.At.Errorf("default", format+"; remove this line", args...)
	}
	return h.At.Errorf("name", "this [[host]] has none, and "+format+"; add name = \"example.org\"", args...)
}

// Serve replaces the keys app and root at the top of the file by values from the command line. Either root or app is
// "".
func (c *SiteConfig) Serve(root, app string) {
	before := c.App
	c.Root, c.App = root, SiteApplication{Name: app}
	c.shareApp(before)
	if t := c.At; t != nil { // treat both keys as if the file did not set them
		t.Entries = slices.DeleteFunc(t.Entries, func(v settings.TOMLValue) bool {
			return v.Key == "root" || v.Key == "app" || v.Key == "args"
		})
	}
}

// ownHost reports whether the command line and the top of the file describe a host of their own, for all names that no
// other host has. An application at the top needs none if the default host of the file serves it.
func (c *SiteConfig) ownHost(conf *settings.Config) bool {
	shared := slices.ContainsFunc(c.Hosts, func(h *Host) bool {
		return (h.Default || len(h.Names) == 0) && h.Root == "" && h.App.Name == c.App.Name
	})
	return c.Root != "" || c.App.Name != "" && !shared || len(conf.Static) > 0
}

func (c *SiteConfig) all(conf *settings.Config) (hosts []*Host) {
	if c.ownHost(conf) {
		hosts = append(hosts, &Host{At: c.At, Files: c.Files, Rules: Rules{TopRules: c.TopRules}, Root: c.Root,
			App: c.App})
	}
	return append(hosts, c.Hosts...)
}

func eachOnce(names []string) (once []string) {
	known := map[string]bool{"": true}
	for _, name := range names {
		if !known[name] {
			known[name] = true
			once = append(once, name)
		}
	}
	return once
}

// Apps returns the applications that run in the processes of the server itself: none beside applications with processes
// of their own.
func (c *SiteConfig) Apps() []SiteApplication {
	if len(c.Children) > 0 {
		return nil
	}
	return c.mountedApps()
}

// allApps returns the applications of the server itself, and those with processes of their own.
func (c *SiteConfig) allApps() []SiteApplication {
	apps := c.mountedApps()
	for _, one := range c.Children {
		apps = append(apps, one.App)
	}
	return apps
}

// mountedApps returns the applications in keys app and on the command line.
func (c *SiteConfig) mountedApps() (apps []SiteApplication) {
	known := map[string]bool{"": true}
	note := func(a SiteApplication) {
		if !known[a.Name] {
			known[a.Name] = true
			apps = append(apps, a)
		}
	}
	note(c.App)
	for _, h := range c.Hosts {
		for _, r := range h.Routes {
			note(r.App)
		}
		note(h.App)
	}
	return apps
}

func (c *SiteConfig) LogFiles(conf *settings.Config) []string {
	paths := []string{conf.AccessLog, conf.ErrorLog}
	for _, h := range c.Hosts {
		paths = append(paths, h.AccessLog, h.ErrorLog)
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" || path == "-" || path == off })
}

// Reach contains the directories that sites serve, which are open before a sandbox begins, and what the sandbox must
// allow in addition.
type Reach struct {
	Roots    []string
	Ports    []uint16
	Unix     bool
	Abstract bool // an upstream is reached through an abstract unix socket ("@name")
	Programs bool
	Uploads  []string
	Files    []string // user files in htpasswd format
}

func (c *SiteConfig) Reach() (r Reach) {
	c.anyRules(func(rules *TopRules) bool {
		if rules.Auth != nil && rules.Auth.Users != "" {
			r.Files = append(r.Files, rules.Auth.Users)
		}
		return false
	})
	r.Roots = append(r.Roots, c.Root)
	for _, h := range c.Hosts {
		r.Roots, r.Programs = append(r.Roots, h.Root), r.Programs || h.SSI.AllowExec
		for _, route := range h.Routes {
			for _, k := range route.given() {
				if k.reach != nil {
					k.reach(route, &r)
				}
			}
		}
	}
	r.Roots = eachOnce(r.Roots)
	return r
}

func (r *Reach) server(address string) {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
		if u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
	}
	if _, port, err := net.SplitHostPort(address); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			r.Ports = append(r.Ports, uint16(n))
		}
	}
	r.Unix = r.Unix || strings.Contains(address, "unix:")
	r.Abstract = r.Abstract || strings.Contains(address, "unix:@")
}

// Targets returns a sample request for each route without a pattern: "/prefix", or "http://name/prefix" if the host has
// a name.
func (c *SiteConfig) Targets() (targets []string) {
	if c.Root != "" {
		targets = append(targets, "/")
	}
	for _, h := range c.Hosts {
		base := ""
		if len(h.Names) > 0 && !strings.Contains(h.Names[0], "*") {
			base = "http://" + h.Names[0]
		}
		if h.Root != "" || h.App.Name != "" || h.Child != "" {
			targets = append(targets, base+"/")
		}
		for _, r := range h.Routes {
			if r.Prefix != "" && r.Match == "" {
				targets = append(targets, base+r.Prefix)
			}
		}
	}
	return targets
}

//go:embed keys.txt
var keysText string

func KeyDocs() []settings.KeyDoc {
	help := settings.TextsByKey(keysText)
	describe := func(table string, structure any) []settings.KeyDoc {
		return settings.DescribeKeys(table, structure, help)
	}
	types := slices.DeleteFunc(describe("", Files{}), func(k settings.KeyDoc) bool {
		return slices.Contains(inherited, k.Key)
	})
	return slices.Concat(describe("", SiteConfig{}), types, describe("host", Host{}),
		describe("host.route", Route{}), describe("application", Child{}), describe("rules", TopRules{}),
		describe("rules", Rules{}),
		describe("rules", proxy.Options{}))
}

type Networks []netip.Prefix

func (n *Networks) FromFile(v settings.TOMLValue) error {
	list, err := v.Strings()
	if err != nil {
		return err
	}
	for _, one := range list {
		networks, err := settings.ParseNetworks(one, "all")
		if err != nil {
			return fmt.Errorf(`addresses, networks such as "10.0.0.0/8", or "all", not %q`, one)
		}
		*n = append(*n, networks...)
	}
	if len(list) == 0 && v.Key == "allow" { // an empty list would allow everyone
		return errors.New(`addresses, networks such as "10.0.0.0/8", or "all", at least one of them`)
	}
	return nil
}
