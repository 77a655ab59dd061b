package plan

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/proxy"
)

// Children are the tables [application.NAME]: applications with processes of their own.
type Children []*Child

// A Child is an application that the supervisor runs in a process of its own, which is another server. Requests reach it
// through a door (conn.NewDoor).
type Child struct {
	At   *settings.TOMLTable
	Name string

	App     SiteApplication   `key:"app" value:"'mysite.wsgi'"`
	Args    []string          `key:"args" value:"['one', 'two']"`
	Program string            `key:"fapws" is:"path" value:"'/srv/blog/venv/bin/fapws'"`
	Env     map[string]string `key:"env" value:"{ DEBUG = '1' }"`
	Stop    time.Duration     `key:"stop-timeout" value:"'30s'"`

	Folder string // working directory: that of the setting chdir, otherwise that of the file
	Conf   settings.Config

	flags []string
}

const defaultStop = 30 * time.Second

var childName = settings.Pattern(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func (c *Children) FromFile(v settings.TOMLValue) error {
	tables, ok := v.Any.(*settings.TOMLTable)
	if !ok {
		return errors.New("tables such as [application.blog]")
	}
	var wrong []error
	for _, one := range tables.Entries {
		table, ok := one.Any.(*settings.TOMLTable)
		switch {
		case !ok:
			wrong = append(wrong, one.Errorf("application.%s: write a table, [application.NAME], with app = …", one.Key))
		case !childName().MatchString(one.Key):
			wrong = append(wrong, one.Errorf("application.%s: a name has up to 32 lower-case letters, digits, - and _", one.Key))
		default:
			child := &Child{At: table, Name: one.Key}
			wrong = append(wrong, child.read(table))
			*c = append(*c, child)
		}
	}
	return settings.JoinPath(wrong...)
}

// read decodes the table of c. Keys that are not fields of Child are settings.
func (c *Child) read(table *settings.TOMLTable) error {
	own, rest := *table, []settings.TOMLValue{}
	own.Entries = nil
	keys := settings.KeysOf(*c)
	file := *table.File // paths of applications are relative to the directory of the application
	file.AppDir = file.Dir
	for _, v := range table.Entries {
		if !slices.Contains(keys, v.Key) {
			rest = append(rest, v)
			continue
		}
		if v.File == table.File {
			v.File = &file
		}
		own.Entries = append(own.Entries, v)
	}
	flags, conf, err := settings.ChildFlags(table.File, rest)
	wrong := []error{err}
	c.flags, c.Conf, c.Folder = flags, conf, cmp.Or(conf.Chdir, file.Dir)
	file.AppDir = c.Folder
	settings.DecodeTOML(&own, c, func(err error) { wrong = append(wrong, err) })
	c.At, c.Stop = table, cmp.Or(c.Stop, max(defaultStop, conf.GracefulTimeout))
	if c.App.Name == "" && len(own.Rejected) == 0 {
		wrong = append(wrong, table.Errorf("app", "[application.%s] needs an application, such as app = \"mysite.wsgi\"", c.Name))
	}
	return settings.JoinPath(wrong...)
}

// Arguments returns the command line of c. word is the command, and further are flags before the application.
func (c *Child) Arguments(word settings.Word, further ...string) []string {
	line := append([]string{string(word), "--config=off"}, c.flags...)
	if c.Conf.Chdir == "" {
		line = append(line, "--chdir="+c.Folder)
	}
	line = append(append(line, further...), c.App.Name)
	if len(c.Args) > 0 {
		line = append(append(line, "--"), c.Args...)
	}
	return line
}

// Serving returns the command line with which c serves: doors are the descriptors of its doors for requests and for
// commands. What the front does already is off.
func (c *Child) Serving(requests, commands int, further ...string) []string {
	further = append(further, fmt.Sprintf("--bind=fd://%d", requests), fmt.Sprintf("--ctl-socket=fd://%d", commands),
		"--compress=no", "--error-log-format=json", "--limit-request-line=1M", "--limit-request-field-size=1M",
		"--limit-request-head=4M", "--limit-request-fields=10000", "--body-timeout=24h", "--body-min-rate=0",
		"--write-timeout=24h")
	if !c.At.Set("workers") {
		further = append(further, fmt.Sprintf("--workers=%d", max(1, c.Conf.Workers)))
	}
	return c.Arguments(settings.WordRun, further...)
}

// Environment returns the variables of the processes of c. channels is the broker of the server, which c uses unless its
// table names one. Its URL is not part of the command line, which all users can read, because it can contain a password.
func (c *Child) Environment(channels string) []string {
	environ := settings.ChildEnvironment(os.Environ())
	if channels = cmp.Or(c.Conf.Channels, channels); channels != "" {
		environ = append(environ, "FAPWS_CHANNELS="+channels)
	}
	for name, value := range c.Env {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// Same reports whether c and other start the same processes.
func (c *Child) Same(other *Child) bool {
	return slices.Equal(c.Serving(0, 0), other.Serving(0, 0)) && c.Program == other.Program && c.Stop == other.Stop &&
		c.Conf.Channels == other.Conf.Channels && fmt.Sprint(c.Env) == fmt.Sprint(other.Env)
}

// named returns the child with a name, or nil.
func (c Children) named(name string) *Child {
	i := slices.IndexFunc(c, func(one *Child) bool { return one.Name == name })
	if i < 0 {
		return nil
	}
	return c[i]
}

// checkChildren reports names of applications that do not exist, and applications that no host or route uses.
func (c *SiteConfig) checkChildren(report func(error)) {
	used := map[string]bool{}
	check := func(table *settings.TOMLTable, name string) {
		if used[name] = true; name != "" && c.Children.named(name) == nil {
			hint := ""
			if near := settings.Nearest(name, c.Children.names()); near != "" {
				hint = ", did you mean " + near + "?"
			}
			report(table.Errorf("application", "there is no table [application.%s]%s", name, hint))
		}
	}
	for _, h := range c.Hosts {
		check(h.At, h.Child)
		for _, r := range h.Routes {
			check(r.At, r.Child)
		}
	}
	if len(c.Children) == 0 {
		return
	}
	for _, one := range c.Children {
		if !used[one.Name] {
			report(one.At.Errorf("application", "no host uses it: write application = %q in [[host]] or [[host.route]]",
				one.Name))
		}
	}
}

func (c Children) names() (names []string) {
	for _, one := range c {
		names = append(names, one.Name)
	}
	return names
}

// makeChildren makes each other application beside children a child, too, which uses the settings of the server. A front
// with a child runs no Python, because Python could use the doors of all children.
func (p *Plan) makeChildren() {
	c := p.Site
	if p.Command.Word == settings.WordShell {
		c.Children = nil // the command loads the application into this process
	}
	if len(c.Children) == 0 {
		return
	}
	flags, conf := p.Settings.ForChild(p.Dir)
	args := p.Command.Args
	if p.named == "" && len(c.Args) > 0 {
		args = c.Args
	}
	for _, app := range c.mountedApps() {
		place, _ := settings.SplitApp(app.Name)
		name := nameOf(place)
		for i := 2; c.Children.named(name) != nil; i++ {
			name = fmt.Sprintf("%s-%d", nameOf(place), i)
		}
		folder := p.WorkDir()
		if conf.Chdir == "" {
			folder = cmp.Or(app.Folder(), folder)
		}
		c.Children = append(c.Children, &Child{At: &settings.TOMLTable{File: p.File}, Name: name, App: app, Args: args,
			Stop: max(defaultStop, conf.GracefulTimeout), Folder: folder, Conf: conf, flags: flags})
	}
}

// channelWarnings returns a warning for each of several children that seems to use channels without a broker.
func (p *Plan) channelWarnings() (lines []string) {
	for _, c := range p.Site.Children {
		if len(p.Site.Children) == 1 || c.Conf.Channels != "" || p.Conf.Channels != "" {
			continue
		}
		a, _ := findApplication(settings.WordRun, c.App.Name, c.Folder, "", c.Conf) // a check of the child reports the error
		if channelsUsed().Match(a.Source) {
			lines = append(lines, fmt.Sprintf("application %s uses channels, which reach only its own subscribers; those of all "+
				"applications need channels = \"redis://…\" at the top of the file", c.Name))
		}
	}
	return lines
}

var channelsUsed = settings.Pattern(`\bfapws\b[\s\S]*\bpublish\b|Fapws-Channel`)

// nameOf returns a name for a child whose application is place: "mysite-wsgi" for mysite.wsgi.
func nameOf(place string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(strings.TrimSuffix(filepath.Base(place), ".py")))
	return cmp.Or(strings.Trim(name[:min(len(name), 28)], "-_"), "main")
}

// of returns the child of an application that has no table, or nil.
func (c Children) of(app SiteApplication) *Child {
	i := slices.IndexFunc(c, func(one *Child) bool { return one.At.Name == "" && one.App.Name == app.Name })
	if i < 0 {
		return nil
	}
	return c[i]
}

// behindDoor returns the mount of the child with a name. If keepsPaths is true, the application keeps the prefix of r in
// its paths, because the host has the same application.
func (b *siteBuilder) behindDoor(r *Route, name string, keepsPaths bool) ([]exchange.Mount, error) {
	o := proxy.Options{Targets: []string{"application " + name}, Door: b.plan.Doors[name], Streams: true,
		Log: b.clientLog(logfile.Warning), Counts: &b.built.proxies, Space: b.workers().Space}
	if o.Door == nil {
		if b.parts.Logs != nil {
			return nil, fmt.Errorf("%s is not running; restart the server", name)
		}
		o.Door = os.Stdin // Check connects to no application
	}
	p, err := proxy.New(o)
	if err != nil {
		return nil, err
	}
	b.built.closers = append(b.built.closers, func() { _ = p.Close() })
	mounts := r.mounts(exchange.Mount{Handler: p, Upgrades: exchange.ToUpstream, Resolved: true, Streams: true, MaxBody: -1})
	if m := &mounts[0]; keepsPaths {
		m.Prefix, m.Within = "", r.Prefix
	}
	return mounts, nil
}
