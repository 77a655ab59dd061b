package plan

import (
	"errors"
	"slices"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/route"
	"fapws/runtime/sites"
)

// Host is a table [[host]]: the routes and files of some host names.
type Host struct {
	At settings.Position
	Files
	Rules
	Proxying

	Names   Names            `key:"name"`    // empty: all that no other host has
	Default bool             `key:"default"` // also for those
	Root    settings.KeyPath `key:"root"`    // files where no route fits
	App     SiteApplication  `key:"app"`     // behind both

	CertFile settings.KeyPath `key:"certfile"` // for HTTPS, of Names
	KeyFile  settings.KeyPath `key:"keyfile"`  // "": in CertFile

	ClientCAs settings.KeyPath `key:"ca-certs"` // of certificates of its clients; "": as the setting says

	HTTPSRedirect *bool `key:"https-redirect"` // nil: as the setting says

	AccessLog       LogFile    `key:"access-log"`
	AccessLogFormat LogFormat  `key:"access-log-format"`
	ErrorLog        LogFile    `key:"error-log"`
	ErrorPages      ErrorPages `key:"error-page"`
	SSI             SSI        `key:"ssi"` // of pages below Root

	Routes []Route `key:"route"`
}

// check finds the mistakes that decoding does not.
func (h *Host) check(report func(error)) {
	if h.Root == "" && h.App.Name == "" && len(h.Routes) == 0 {
		report(h.At.Errorf("host", "nothing to serve: set root, app or a [[host.route]]"))
	}
	if h.KeyFile != "" && h.CertFile == "" {
		report(h.At.Errorf("keyfile", "keyfile requires certfile, the certificate of this key"))
	}
	for i := range h.Routes {
		h.Routes[i].check(h, report)
	}
}

// Names are host names as route.HostName returns them: "example.org",
// "*.example.org" or "example.*".
type Names []string

// FromFile implements settings.TableReader.
func (n *Names) FromFile(v settings.TOMLValue) error {
	list, err := v.Strings()
	if err != nil {
		return err
	}
	for _, name := range list {
		name, err := route.HostName(name)
		if err != nil {
			return errors.New(`host names without a port, such as "example.org", "*.example.org" or "example.*"`)
		}
		*n = append(*n, name)
	}
	return nil
}

// host builds the site of a host: its routes, then its files, then its
// application.
func (b *builder) host(h *Host) sites.Site {
	if b.parts.Conf.SSI && h.Root != "" && !h.At.Set("ssi") {
		h.SSI.Given = true
	}
	b.at, b.loginHere = h.At, nil
	s := sites.Site{Names: h.Names, Rules: b.ruled(h.At, &h.Rules), Pages: b.errorPages(h)}
	b.hostLogs(h, &s)
	b.hidden, b.routed, b.behind, b.index = h.programs(), h.routed(), nil, nil
	var parts []part
	for i := range h.Routes {
		parts = append(parts, part{&h.Routes[i], b.route(h, &h.Routes[i])})
	}
	for i := range h.Routes {
		if len(h.Routes[i].filesOfRoot()) > 0 {
			parts[i].mounts = b.filesUnder(h, &h.Routes[i])
		}
	}
	rest := &Route{At: h.At, Files: h.Files, Rules: h.Rules, Folder: h.Root, App: h.App}
	if h.SSI.Given {
		parts = append(parts, part{rest, b.rules(rest, b.hostPages(h, rest))})
	}
	if h.Root != "" {
		parts = append(parts, part{rest, b.root(h, rest)})
	}
	if h.App.Name != "" {
		parts = append(parts, part{rest, b.rules(rest, b.app(h, rest))})
	}
	s.Table = slices.Concat(b.authority(), b.tokens(), b.redirectToHTTPS(h), b.loginPages(), b.table(parts))
	b.errors = nil
	return s
}

// part is the source of a route, or of the rest of a host.
type part struct {
	route  *Route
	mounts []sites.Mount
}

// table puts the parts of a host together. The rules of a route without a kind are for the paths below its prefix,
// whatever their source, and come before those of the parts behind it. So it becomes a second copy of their mounts.
func (b *builder) table(parts []part) (table []sites.Mount) {
	for i, p := range parts {
		table = append(table, p.mounts...)
		if p.route.onlyRules() {
			for _, behind := range parts[i+1:] {
				table = append(table, b.ruledCopy(p.route, behind)...)
			}
		}
	}
	return table
}

// ruledCopy returns the mounts of a part, for paths below the prefix of r that have a name which its pattern
// matches, and with its rules. The name may be that of a folder or a script, with more behind it.
func (b *builder) ruledCopy(r *Route, p part) []sites.Mount {
	copied := Route{At: r.At, Files: p.route.Files, Rules: r.Rules}
	copied.Rules.inherit(p.route.Rules)
	var mounts []sites.Mount
	for _, m := range p.mounts {
		switch prefix := string(r.Prefix); {
		case m.Within == "" || strings.HasPrefix(prefix, m.Within):
			m.Within = prefix
		case !strings.HasPrefix(m.Within, prefix):
			continue // the two have no path in common
		}
		m.Having = string(r.Match)
		if r.Cache != nil {
			m.Cache = nil
		}
		mounts = append(mounts, m)
	}
	return b.rules(&copied, mounts)
}

// routed are patterns of the names of files that a route may be for: one that is
// the index of a folder has to be routed by its own name, too, unless that would
// send it back to the folder.
func (h *Host) routed() (names []string) {
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
	for i := range h.Routes {
		r := &h.Routes[i]
		if r.Redirect != "" || r.Rewrite != "" {
			continue
		}
		if r.Match != "" {
			names = append(names, string(r.Match))
		} else if name := string(r.Prefix[strings.LastIndexByte(string(r.Prefix), '/')+1:]); name != "" {
			names = append(names, escape.Replace(name)+"*")
		}
	}
	return names
}

// root mounts the files of a host, and behind them what answers where there are
// none: scripts, unless it is the application. Scripts that are the index of a
// folder answer for it in both cases, the application for what is sent to it.
func (b *builder) root(h *Host, r *Route) []sites.Mount {
	var behind []sites.Mount
	if h.App.Name == "" {
		behind = b.behind
	}
	fall := len(behind) > 0 || h.App.Name != ""
	return append(b.rules(r, b.rootFiles(h, r, fall)), behind...)
}

// rootFiles mounts the files of a host with the keys of r.
func (b *builder) rootFiles(h *Host, r *Route, fall bool) []sites.Mount {
	r.Index = slices.Concat(r.Index, b.index)
	if h.SSI.Given {
		return b.withPages(r, &h.SSI, fall)
	}
	return b.folder(r, fall)
}

// filesUnder mounts the files of a host that are below the prefix of a route and match its pattern, with the keys of
// the route. The parts behind it answer for missing files.
func (b *builder) filesUnder(h *Host, r *Route) []sites.Mount {
	under := *r
	under.Prefix, under.Folder = "", h.Root
	settings.InheritTable(&under.Files, &h.Files)
	under.Rules.inherit(h.Rules)
	under.SPA = r.SPA // that of the host is for paths without any other source
	mounts := b.rootFiles(h, &under, true)
	for i := range mounts {
		mounts[i].Within = string(r.Prefix)
	}
	return b.rules(&under, mounts)
}
