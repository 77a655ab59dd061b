package plan

import (
	"slices"

	"fapws/cmd/fapws/settings"
)

// SiteConfig is the part of the configuration file and the command line about sites.
type SiteConfig struct {
	At    settings.Position
	Files // defaults of all hosts that are not settings: types
	TopRules

	Root        settings.KeyPath `key:"root"` // a folder in the place of APP
	App         SiteApplication  `key:"app"`
	Args        []string         `key:"args"` // sys.argv[1:] of the application
	UnknownHost Choice           `key:"unknown-host"`
	Hosts       []Host           `key:"host"`
}

// FileKeys are the keys at the top of a file that are not settings.
func FileKeys() []string {
	var keys []string
	for _, key := range settings.KeysOf(SiteConfig{}) {
		if !slices.Contains(inherited, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// inherited are keys of Files that are settings at the top.
var inherited = []string{"index", "autoindex", "spa", "mime-types", "charset", "compress", "expires", "symlinks", "dotfiles", "expose", "cache-files-max"}

// ReadSites decodes the top of a file; f may be nil without one. report is called for
// is wrong, line by line.
func ReadSites(f *settings.TOMLFile, report func(error)) *SiteConfig {
	c := &SiteConfig{}
	if f == nil {
		return c
	}
	ours := &settings.TOMLTable{File: f}
	keys := FileKeys()
	for _, v := range f.Top.Entries { // package settings has judged the others
		if slices.Contains(keys, v.Key) && (v.Key != "host" || v.IsTables()) {
			ours.Entries = append(ours.Entries, v)
		}
	}
	settings.DecodeTOML(ours, c, report)
	c.shareApp(SiteApplication{})
	for i := range c.Hosts {
		c.Hosts[i].check(report)
	}
	c.checkDefault(report)
	c.checkNames(report)
	return c
}

// shareApp gives the application at the top to the hosts that have neither an application nor a root, in place of before.
func (c *SiteConfig) shareApp(before SiteApplication) {
	for i := range c.Hosts {
		if h := &c.Hosts[i]; h.Root == "" && h.App.Name == before.Name && !h.At.Set("app") {
			h.App = c.App
		}
	}
}

// checkNames sees that no name belongs to two hosts.
func (c *SiteConfig) checkNames(report func(error)) {
	owners := map[string]*Host{}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for _, name := range h.Names {
			if first := owners[name]; first != nil && first != h {
				report(h.At.Errorf("name", "%s belongs to the host of line %d already", name, first.At.Table.Line))
			}
			owners[name] = h
		}
	}
}

// checkDefault sees that not two hosts are for all other names.
func (c *SiteConfig) checkDefault(report func(error)) {
	first := -1
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if !h.Default && len(h.Names) > 0 {
			continue
		}
		if first >= 0 {
			report(h.At.Errorf("default", "the host of line %d is already the default; give this host a name", c.Hosts[first].At.Table.Line))
		}
		first = i
	}
}

// Serve replaces the application or root at the top of the file by that of the command line: the directory root, or
// the application app.
func (c *SiteConfig) Serve(root, app string) {
	before := c.App
	c.Root, c.App = settings.KeyPath(root), SiteApplication{Name: app}
	c.shareApp(before)
	if t := c.At.Table; t != nil { // as if the file did not say
		t.Entries = slices.DeleteFunc(t.Entries, func(v settings.TOMLValue) bool { return v.Key == "root" || v.Key == "app" || v.Key == "args" })
	}
}

// ownHost reports whether the top of the file and the command line make a host.
func (c *SiteConfig) ownHost(conf *settings.Config) bool {
	return c.Root != "" || c.App.Name != "" || len(conf.Static) > 0
}

// Roots are the directories of root and files, each once.
func (c *SiteConfig) Roots() (dirs []string) {
	note := func(dir settings.KeyPath) {
		if dir != "" && !slices.Contains(dirs, string(dir)) {
			dirs = append(dirs, string(dir))
		}
	}
	note(c.Root)
	for i := range c.Hosts {
		note(c.Hosts[i].Root)
		for k := range c.Hosts[i].Routes {
			note(c.Hosts[i].Routes[k].Folder)
		}
	}
	return dirs
}

// Apps are the applications to load, each once.
func (c *SiteConfig) Apps() (apps []SiteApplication) {
	note := func(a SiteApplication) {
		if a.Name == "" {
			return
		}
		for _, other := range apps {
			if other.Name == a.Name {
				return
			}
		}
		apps = append(apps, a)
	}
	note(c.App)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Routes {
			note(h.Routes[k].App)
		}
		note(h.App)
	}
	return apps
}

// Empty says that nothing is named that could be served.
func (c *SiteConfig) Empty(conf *settings.Config) bool {
	return !c.ownHost(conf) && len(c.Hosts) == 0
}
