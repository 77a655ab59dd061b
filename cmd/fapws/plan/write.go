package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"fapws/cmd/fapws/settings"
)

// Count is "2 hosts, 5 routes".
func (c *SiteConfig) Count() string {
	routes := 0
	for i := range c.Hosts {
		routes += len(c.Hosts[i].Routes)
	}
	return plural(len(c.Hosts), "host") + ", " + plural(routes, "route")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Write shows the rest of the file but settings, and the hosts with their routes, for --print-config: a line each,
// with the place that it comes from.
func (c *SiteConfig) Write(w io.Writer, conf *settings.Config) error {
	var b strings.Builder
	keys(&b, "", c.At, "root", "app", "host")
	if c.ownHost(conf) {
		fmt.Fprintln(&b, "\nhost default")
		for _, one := range conf.Static {
			prefix, folder, _ := strings.Cut(one, "=")
			line(&b, "  "+prefix, "files "+folder, "")
		}
		rest(&b, c.Root, c.App, c.At)
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		names := strings.Join(h.Names, " ")
		if names == "" || h.Default {
			names = strings.TrimSpace(names + " (default)")
		}
		fmt.Fprintln(&b)
		line(&b, "host "+names, "", h.At.String())
		keys(&b, "    ", h.At, "name", "default", "root", "app", "route")
		for k := range h.Routes {
			r := &h.Routes[k]
			line(&b, "  "+string(r.Prefix)+string(r.Match), r.What(), r.At.String())
			keys(&b, "    ", r.At, "prefix", "match", "app", "files", "redirect", "rewrite", "proxy", "status")
		}
		rest(&b, h.Root, h.App, h.At)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rest shows the source for paths without a route.
func rest(b *strings.Builder, root settings.KeyPath, app SiteApplication, at settings.Position) {
	if root != "" {
		line(b, "  /", "files "+string(root), at.Key("root"))
	}
	if app.Name != "" {
		line(b, "  /", "app "+app.Name, at.Key("app"))
	}
}

// keys shows the keys of a table, without some.
func keys(b *strings.Builder, indent string, at settings.Position, without ...string) {
	if at.Table == nil {
		return
	}
	for _, v := range at.Table.Entries {
		if !slices.Contains(without, v.Key) {
			line(b, indent+v.Key, v.Show(), at.Key(v.Key))
		}
	}
}

// line is in the columns of settings.WriteConfig.
func line(b *strings.Builder, what, value, from string) {
	if from != "" {
		from = "file " + from
	}
	fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("%-25s %-20s %s", what, value, from), " "))
}
