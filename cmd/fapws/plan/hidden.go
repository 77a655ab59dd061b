package plan

import (
	"cmp"
	"strings"

	"fapws/runtime/exchange"
)

// warnHidden warns about routes that get no requests, because an earlier route handles all their paths. A rewrite can
// bring any path to the routes behind it. A mistake in the file, such as a misspelled prefix, can be the reason, so it is
// reported alone.
func (b *siteBuilder) warnHidden(parts []part) {
	if b.plan.Mistakes != nil {
		return
	}
	type place struct{ prefix, match string }
	handled := map[place]*Route{}
	handler := func(r *Route) *Route {
		prefix := cmp.Or(r.Prefix, "/")
		for i := range len(prefix) + 1 {
			if first := cmp.Or(handled[place{prefix[:i], ""}], handled[place{prefix[:i], r.Match}]); first != nil {
				return first
			}
		}
		return nil
	}
	for i, p := range parts {
		at, key := p.route.At, "match"
		switch {
		case at == b.plan.Site.At:
			return // the routes of --static
		case at == b.host.At && (!at.Set("app") || i < len(parts)-1):
			continue // a root can have other uses than its files
		case at == b.host.At:
			key = "app"
		case at.Set("prefix"):
			key = "prefix"
		}
		if first := handler(p.route); first != nil {
			b.warn(at.Errorf(key, "gets no requests, because the route of line %d comes before it; put longer prefixes "+
				"first, and patterns before prefixes", first.At.Line).Error())
		}
		for _, m := range p.mounts {
			if m.Rewrite != nil {
				clear(handled)
				continue
			}
			short, long := m.Prefix, m.Within
			if len(short) > len(long) {
				short, long = long, short
			}
			to := place{long, m.Match}
			if declines, ok := m.Source.(exchange.Optional); ok && declines.Declines() || m.Having != "" ||
				!strings.HasPrefix(long, short) || m.Match != "" && m.Source != nil {
				continue
			}
			if handled[to] == nil {
				handled[to] = p.route
			}
		}
	}
}
