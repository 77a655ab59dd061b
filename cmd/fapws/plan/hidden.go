package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fapws/pybridge"
	"fapws/runtime/exchange"
	"fapws/runtime/route"
)

// place is a set of paths: those with a prefix whose file name matches a pattern. inner is true if the pattern can also
// match a directory or program within the path.
type place struct {
	prefix, match string
	inner         bool
}

// handled maps a place to a description of the first mount that handles all its paths.
type handled map[place]string

// by returns the description of a mount that handles all paths of a place, or "".
func (h handled) by(p place) string {
	for i := range len(p.prefix) + 1 {
		for _, m := range []place{{match: "", inner: true}, {match: p.match, inner: true}, {match: p.match, inner: p.inner}} {
			if m.prefix = p.prefix[:i]; h[m] != "" {
				return h[m]
			}
		}
	}
	return ""
}

func (h handled) add(m *exchange.Mount, client string) {
	if m.Rewrite != nil { // can bring any path to the following mounts
		clear(h)
		return
	}
	declines, ok := m.Source.(exchange.Optional)
	p, possible := placeOf(m)
	if possible && m.Having == "" && !(ok && declines.Declines()) && h[p] == "" {
		h[p] = client
	}
}

// placeOf returns the place of a mount. possible is false if no path has both prefixes of the mount.
func placeOf(m *exchange.Mount) (p place, possible bool) {
	short, long := m.Prefix, m.Within
	if len(short) > len(long) {
		short, long = long, short
	}
	inner := m.Match == "" || m.Source == nil
	return place{long, m.Match, inner}, strings.HasPrefix(long, short)
}

// warnHidden warns about routes and entries of PATHS that get no requests, because an earlier one handles all their
// paths. A mistake in the file, such as a misspelled prefix, can be the reason, so it is reported alone.
func (b *siteBuilder) warnHidden(parts []part) {
	if b.plan.Mistakes != nil {
		return
	}
	h := handled{}
	type entry struct {
		of    *Route
		mount *pybridge.Mount
	}
	var entries []entry
	first := map[*pybridge.Mount]string{} // what hides an entry; "" if the entry gets requests in one of the parts
	for i, p := range parts {
		by := h.by(p.place())
		warned := by != "" && b.warnRoute(p.route, i == len(parts)-1, by)
		table := b.entries(p.route)
		for k := range p.mounts {
			m, who := &p.mounts[k], b.describe(p.route)
			if k < len(table) {
				e := &table[k]
				who = fmt.Sprintf("%q", e.Prefix)
				to, possible := placeOf(m)
				switch by, known := first[e]; {
				case warned || !possible:
				case !known:
					entries, first[e] = append(entries, entry{p.route, e}), h.by(to)
				case by != "":
					first[e] = h.by(to)
				}
			}
			h.add(m, who)
		}
	}
	for _, e := range entries {
		b.warnEntry(e.of, e.mount, first[e.mount])
	}
}

// place returns the place of a part; inner is true unless no mount of the part is.
func (p *part) place() place {
	inner := len(p.mounts) == 0 || slices.ContainsFunc(p.mounts, func(m exchange.Mount) bool { return m.Source == nil })
	return place{cmp.Or(p.route.Prefix, "/"), p.route.Match, inner}
}

// describe returns the name of a route for the message about a later one.
func (b *siteBuilder) describe(r *Route) string {
	switch {
	case r.At == b.plan.Site.At && r.Prefix != "":
		return "--static " + r.Prefix
	case r.At == nil:
		return "the application"
	}
	return fmt.Sprintf("the route of line %d", r.At.Line)
}

const longerFirst = "put longer prefixes first"

// warnRoute warns about the route r, or about the application of the host if last is true, and reports whether it did.
func (b *siteBuilder) warnRoute(r *Route, last bool, first string) bool {
	gets := fmt.Sprintf("gets no requests, because %s comes before it", first)
	isApp := r.App.Name != "" && r.App.Name == b.host.App.Name
	switch own := r.At == b.plan.Site.At; {
	case own && r.Prefix != "":
		b.warn(b.plan.Settings.Wrong("static", fmt.Errorf("%s %s; %s", r.Prefix, gets, longerFirst)).Error())
	case own && isApp && r.App.At.File != nil:
		b.warn(r.App.At.Errorf("app: %s", gets).Error())
	case own && isApp:
		b.warn(r.App.Name + " " + gets)
	case own || r.At == b.host.At && (!r.At.Set("app") || !last || b.host.mountsApp()):
		return false // a root can have other uses than its files
	default:
		key := "match"
		if r.At == b.host.At {
			key = "app"
		} else if r.At.Set("prefix") {
			key = "prefix"
		}
		b.warn(r.At.Errorf(key, "%s; %s, and patterns before prefixes", gets, longerFirst).Error())
	}
	return true
}

// mountsApp reports whether a route has the application of the host, which the host then only names, so that the
// application keeps its paths.
func (h *Host) mountsApp() bool {
	return slices.ContainsFunc(h.Routes, func(r *Route) bool { return r.App.Name == h.App.Name })
}

// entries returns the entries of the script with PATHS that r serves, or nil.
func (b *siteBuilder) entries(r *Route) []pybridge.Mount {
	i, is := b.apps[r.App.Name]
	if c := b.parts.Contents; is && c != nil && c.Apps[i].Class == "" {
		return c.Apps[i].Table
	}
	return nil
}

func (b *siteBuilder) warnEntry(r *Route, entry *pybridge.Mount, first string) {
	name := fmt.Sprintf("%s: entry %q", b.scriptName(r), entry.Prefix)
	if sign := route.Foreign(entry.Prefix, true); sign != "" {
		b.warn(fmt.Sprintf("%s: %s is compared as it is; an entry is a prefix, not a pattern", name, sign))
	}
	if first != "" {
		b.warn(fmt.Sprintf("%s gets no requests, because %s comes before it; %s", name, first, longerFirst))
	}
}

// scriptName returns the name of the application of r in messages.
func (b *siteBuilder) scriptName(r *Route) string {
	if len(b.apps) == 1 {
		return b.plan.Command.ScriptName()
	}
	return r.App.Name
}
