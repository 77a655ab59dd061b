package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/route"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// Route is a table [[host.route]]: the source for some paths. It is of one kind, or of none: then its rules are for the
// other sources of these paths, and its keys about files for those of the host.
type Route struct {
	At settings.Position
	Files
	Rules
	Proxying

	Prefix Prefix  `key:"prefix"` // of the path
	Match  Pattern `key:"match"`  // of the file name below it; "": all

	App      SiteApplication  `key:"app"`
	Folder   settings.KeyPath `key:"files"`
	CGI      CGI              `key:"cgi"`
	PHP      PHP              `key:"php"`
	FastCGI  FastCGI          `key:"fastcgi"`
	SSI      SSI              `key:"ssi"`
	Redirect string           `key:"redirect"`
	Rewrite  string           `key:"rewrite"`
	Proxy    string           `key:"proxy"`
	Upload   Upload           `key:"upload"`
	Status   int              `key:"status"` // a kind by itself, or the status of redirect

	Text string           `key:"text"` // with Status
	Root settings.KeyPath `key:"root"` // of CGI, PHP, FastCGI and SSI; not given: the host's
}

// kind is a kind of route.
type kind struct {
	key   string
	given func(*Route) bool
	// build returns the mounts that answer. It reports mistakes to builder.wrong.
	build func(*builder, *Host, *Route) []sites.Mount
}

// kinds are looked through in this order.
var kinds = []kind{
	{"app", func(r *Route) bool { return r.App.Name != "" }, (*builder).app},
	{"cgi", func(r *Route) bool { return r.CGI.Given }, (*builder).cgi},
	{"php", func(r *Route) bool { return r.PHP.Given }, (*builder).php},
	{"fastcgi", func(r *Route) bool { return r.FastCGI.Address != "" }, (*builder).fastcgi},
	{"ssi", func(r *Route) bool { return r.SSI.Given }, (*builder).ssi},
	{"redirect", func(r *Route) bool { return r.Redirect != "" }, (*builder).redirect},
	{"rewrite", func(r *Route) bool { return r.Rewrite != "" }, (*builder).rewrite},
	{"proxy", func(r *Route) bool { return r.Proxy != "" }, (*builder).proxy},
	{"upload", func(r *Route) bool { return r.Upload.To != "" }, (*builder).upload},
	{"files", func(r *Route) bool { return r.Folder != "" && !r.SSI.Given }, (*builder).files},
	{"status", func(r *Route) bool { return r.Status != 0 && r.Redirect == "" }, (*builder).status},
}

// given are the kinds that the route has.
func (r *Route) given() (of []kind) {
	for _, k := range kinds {
		if k.given(r) {
			of = append(of, k)
		}
	}
	return of
}

// onlyRules reports whether the route has no kind: its rules are for what answers below
// its prefix, and where its pattern matches, anyway.
func (r *Route) onlyRules() bool {
	return len(r.given()) == 0 && (r.Prefix != "" || r.Match != "") && len(settings.GivenKeys(r.Rules)) > 0
}

// filesOfRoot returns the keys about files of a route without a kind, for the files of its host.
func (r *Route) filesOfRoot() []string {
	if len(r.given()) > 0 {
		return nil
	}
	return settings.GivenKeys(r.Files)
}

// check sees that the route is of one kind, or has rules for a prefix or a pattern, or keys for files of the host.
func (r *Route) check(h *Host, report func(error)) {
	if !r.At.Set("prefix") && !r.At.Set("match") {
		report(r.At.Errorf("prefix", `a route needs one, such as "/static/", or match, such as "*.php"`))
	}
	of := r.given()
	if r.Root != "" && !slices.ContainsFunc(of, func(k kind) bool { return slices.Contains([]string{"cgi", "php", "fastcgi", "ssi"}, k.key) }) {
		report(r.At.Errorf("root", "this key is for cgi, php, fastcgi and ssi; did you mean files?"))
		return
	}
	if keys := r.filesOfRoot(); len(keys) > 0 {
		if h.Root == "" {
			report(r.At.Errorf(keys[0], "this key is for files: set files for the route, or root for the host"))
		}
		return
	}
	if len(of) == 1 || r.onlyRules() {
		return
	}
	var keys, all []string
	for _, k := range of {
		keys = append(keys, k.key)
	}
	for _, k := range kinds {
		all = append(all, k.key)
	}
	if len(of) > 1 {
		report(r.At.Errorf(keys[1], "a route has one of %s; this one already has %s", strings.Join(all, ", "), keys[0]))
		return
	}
	report(r.At.Errorf("route", "a route needs one of %s, or rules such as auth for the other sources of its paths", strings.Join(all, ", ")))
}

// What describes the route in words: "files /srv/x".
func (r *Route) What() string {
	switch of := r.given(); {
	case len(of) == 0:
		return "rules only"
	case of[0].key == "app":
		return "app " + r.App.Name
	case of[0].key == "cgi":
		return "cgi " + string(r.CGI.Folder)
	case of[0].key == "php":
		return "php " + r.PHP.Command
	case of[0].key == "fastcgi":
		return "fastcgi " + r.FastCGI.Address
	case of[0].key == "ssi":
		return "ssi " + string(r.Folder)
	case of[0].key == "redirect":
		return "redirect " + r.Redirect
	case of[0].key == "rewrite":
		return "rewrite " + r.Rewrite
	case of[0].key == "proxy":
		return "proxy " + r.Proxy
	case of[0].key == "upload":
		return "upload " + string(r.Upload.To)
	case of[0].key == "files":
		return "files " + string(r.Folder)
	default:
		return fmt.Sprintf("status %d", r.Status)
	}
}

// route builds the source of a route.
func (b *builder) route(h *Host, r *Route) []sites.Mount {
	of := r.given()
	if len(of) != 1 {
		return nil // check has reported it
	}
	settings.InheritTable(&r.Files, &h.Files)
	r.Rules.inherit(h.Rules)
	if of[0].build == nil {
		b.wrong(r.At.Errorf(of[0].key, "this kind of route cannot be served yet"))
		return nil
	}
	return b.rules(r, of[0].build(b, h, r))
}

// SiteApplication names a Python application: a script, a module, or an object in
// one of them.
type SiteApplication struct {
	Name string             // as APP on the command line; the path of a script is absolute
	At   settings.TOMLValue // where the file says so
}

// FromFile implements settings.TableReader.
func (a *SiteApplication) FromFile(v settings.TOMLValue) error {
	name, ok := v.Any.(string)
	if !ok || name == "" || strings.ContainsRune(name, 0) {
		return errors.New(`an application, such as "app.py" or "package.module:app"`)
	}
	place, object := settings.SplitApp(name)
	if strings.ContainsRune(place, '/') || strings.HasSuffix(place, ".py") {
		name = v.File.Resolve(place)
		if object != "" {
			name += ":" + object
		}
	}
	a.Name, a.At = name, v
	return nil
}

// Folder is a further directory for modules: that of the file. "" for an application that no file names.
func (a *SiteApplication) Folder() string {
	if a.At.File == nil {
		return ""
	}
	return a.At.File.Dir
}

// app mounts a Python application. A route to the one that the host has anyway
// leaves it where it is, so that its rules are for a part of it; the paths of
// another one are below that of the route.
func (b *builder) app(h *Host, r *Route) []sites.Mount {
	mounts, most, err := b.parts.App(r.App.Name, Mounting{b.add, b.login})
	if err != nil {
		b.wrong(err)
		return nil
	}
	if r.MaxBodySize == 0 {
		r.MaxBodySize = Size(most)
	}
	table := make([]sites.Mount, len(mounts))
	for i, m := range mounts {
		m.Match = string(r.Match)
		switch {
		case r.App.Name == h.App.Name:
			m.Within = string(r.Prefix)
		case m.Prefix == "" || m.Prefix == "/":
			m.Prefix = string(r.Prefix)
		default:
			m.Prefix = strings.TrimRight(string(r.Prefix), "/") + m.Prefix
		}
		table[i] = m
	}
	if r.Prefix != "" { // this route is the one that fits
		none, _ := static.NewFixed(static.FixedOptions{Status: 404}) // nothing in it can be wrong
		table = append(table, sites.Mount{Prefix: string(r.Prefix), Match: string(r.Match), Source: none})
	}
	return table
}

// IsFolder reports whether name, APP as typed, is a folder of files to be served: one
// that is not a package of Python, and has no script beside it that Python would
// import by this name.
func IsFolder(name string) bool {
	st, err := os.Stat(name)
	if err != nil || !st.IsDir() {
		return false
	}
	if _, err := os.Stat(filepath.Join(name, "__init__.py")); err == nil {
		return false
	}
	_, err = os.Stat(name + ".py")
	return err != nil || strings.ContainsRune(name, '/')
}

// redirect mounts a source that redirects clients.
func (b *builder) redirect(_ *Host, r *Route) []sites.Mount {
	to, err := static.NewRedirect(r.Redirect, r.Status)
	if err != nil {
		b.wrong(r.At.Errorf("redirect", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Source: to}}
}

// rewrite mounts a source that gives requests another path, for the routes behind it.
func (b *builder) rewrite(_ *Host, r *Route) []sites.Mount {
	to, err := route.NewRewrite(r.Rewrite)
	if err != nil {
		b.wrong(r.At.Errorf("rewrite", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Rewrite: to}}
}

// status mounts an answer that is always the same.
func (b *builder) status(_ *Host, r *Route) []sites.Mount {
	answer, err := static.NewFixed(static.FixedOptions{Status: r.Status, Body: r.Text})
	if err != nil {
		b.wrong(r.At.Errorf("status", "%v", err))
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Source: answer}}
}
