package plan

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

// Label returns the name of the server for users: the application or directory from the command line or from the top of
// the configuration file, or the name of the configuration file.
func (p *Plan) Label(conf *settings.Config) string {
	switch {
	case p.Site.App.Name != "":
		return p.Site.App.Name
	case p.Site.Root != "" || p.File == nil:
		return p.Site.Describe(conf)
	}
	return p.File.Name
}

func (p *Plan) DescribeWithCounts(app *pybridge.Contents, conf *settings.Config) string {
	var what []string
	if p.Site.Root != "" && p.File == nil {
		what = append(what, "a directory of files")
	} else if p.Site.Root != "" {
		what = append(what, p.Site.Describe(conf))
	}
	for i := range p.apps {
		if app.Apps[i].Class != "" {
			what = append(what, fmt.Sprintf("%s, which is %s", app.Apps[i].What, app.Apps[i].Class))
		} else {
			what = append(what, pool.Count(len(app.Apps[i].Table), "path"))
		}
	}
	if len(p.Site.Hosts) > 0 {
		what = append([]string{p.Site.Count()}, what...)
	}
	if len(what) == 0 {
		what = append(what, "folders of files")
	}
	return strings.Join(what, ", ")
}

func (p *Plan) DescribeServed(app *pybridge.Contents, conf *settings.Config) string {
	var what []string
	if p.Site.Root != "" {
		what = append(what, p.Site.Describe(conf))
	} else if app != nil && p.Site.App.Name != "" {
		what = append(what, app.Apps[0].What)
	} else if len(conf.Static) > 0 {
		what = append(what, p.Site.Describe(conf))
	}
	if n := len(p.Site.Hosts); n > 0 {
		what = append(what, p.Site.Count())
	}
	line := strings.Join(what, ", ")
	if p.File != nil {
		line += " (" + p.File.Name + ")"
	}
	return line
}

func (p *Plan) Python() string {
	if len(p.Site.Apps()) == 0 {
		return ""
	}
	return pybridge.Version()
}

// IsOpen reports whether anyone may use the server, because no rule, login or trusted proxy restricts clients. A login
// in PATHS counts only if all entries of PATHS require it.
func (p *Plan) IsOpen(conf *settings.Config, contents *pybridge.Contents) bool {
	users, entries := p.users(contents)
	return len(conf.Proxies) == 0 && conf.LoginUsers == "" && !p.Site.restricts() && (entries == 0 || len(users) < entries)
}

// WorkDir returns the directory of --chdir as an absolute path, and does not resolve symbolic links, because they may
// point to a different directory later.
func (p *Plan) WorkDir() string {
	if filepath.IsAbs(p.Conf.Chdir) {
		return p.Conf.Chdir
	}
	return filepath.Join(p.Dir, p.Conf.Chdir)
}

// Place returns the absolute path of the configuration file or, if the command line names the application or directory,
// the absolute path of that one. Place returns "" if neither is known.
func (p *Plan) Place() string {
	name := cmp.Or(p.Site.App.Name, p.Site.Root)
	switch {
	case p.named == "" || name == "":
		return p.Path
	case filepath.IsAbs(name):
		return filepath.Clean(name)
	}
	return filepath.Join(p.WorkDir(), name)
}

func (p *Plan) Folders() (dirs []string) {
	for _, app := range p.Site.allApps() {
		dirs = append(dirs, app.dir())
	}
	return eachOnce(dirs)
}

// Changeable returns the directories in which the application can change files, for system.Distrust: the directories in
// sandbox-write, and the directories of logs and uploads. Changeable returns nil without a sandbox.
func (p *Plan) Changeable(conf *settings.Config, uploads ...string) (dirs []string) {
	if !conf.Sandboxed() {
		return nil
	}
	add := func(path, end string) {
		if abs, err := filepath.Abs(path); err == nil {
			dirs = append(dirs, strings.TrimSuffix(abs, "/")+end)
		}
	}
	for _, path := range conf.SandboxWrite {
		add(path, "/")
	}
	for _, log := range p.Site.LogFiles(conf) {
		add(filepath.Dir(log), "/")
	}
	for _, path := range append(p.Site.Reach().Uploads, uploads...) {
		add(path, "") // the application may have replaced an uploaded file by a link
		if st, err := os.Lstat(path); err != nil || st.Mode().IsRegular() {
			add(filepath.Dir(path), "/")
		}
	}
	return dirs
}

// Written returns the absolute paths of the files and directories that the server writes: users, logs, state, and uploads
// with their directories.
func (p *Plan) Written(contents *pybridge.Contents, uploads ...string) (paths []string) {
	users, _ := p.users(contents)
	paths = slices.Concat(p.Site.UserFiles(&p.Conf), users, p.Site.LogFiles(&p.Conf), []string{p.stateDir, p.Conf.PidFile})
	for _, path := range append(p.Site.Reach().Uploads, uploads...) {
		paths = append(paths, path)
		if st, err := os.Stat(path); err != nil || !st.IsDir() {
			paths = append(paths, filepath.Dir(path))
		}
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return path == "" })
	for i, path := range paths {
		paths[i] = absolute(path)
	}
	return paths
}

func (p *Plan) outside(conf *settings.Config, contents *pybridge.Contents) map[string][]string {
	files := map[string][]string{}
	add := func(name, path string) {
		if path != "" && path[0] != '@' {
			files[name] = append(files[name], path)
		}
	}
	add(p.setting("pid"), conf.PidFile)
	if conf.ControlSocket != "auto" && conf.ControlSocket != "off" {
		add(p.setting("ctl-socket"), conf.ControlSocket)
	}
	for _, addr := range conf.Bind {
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			add(p.setting("bind"), path)
		}
	}
	users, _ := p.users(contents)
	for _, path := range append(p.Site.UserFiles(conf), users...) {
		add("the users of "+path, path)
	}
	return files
}

func (p *Plan) setting(name string) string {
	return fmt.Sprintf("%s (%s)", name, p.Settings.Source(name))
}

// CheckOutside returns an error if a file that is used outside the sandbox is in a directory that the application could
// replace by a symbolic link. The caller must call system.Distrust first.
func (p *Plan) CheckOutside(conf *settings.Config, contents *pybridge.Contents) error {
	dirs := map[string][]string{p.setting("state-dir"): p.StateDirs(contents)}
	for name, files := range p.outside(conf, contents) {
		for _, file := range files {
			dirs[name] = append(dirs[name], filepath.Dir(file))
		}
	}
	for name, dirs := range dirs {
		for _, dir := range dirs {
			if abs, err := filepath.Abs(dir); err == nil && system.Replaceable(abs) {
				return process.ExitUsage(fmt.Errorf("%s: the application can replace the directory %s; name one that "+
					"sandbox-write, logs and uploads do not allow to change", name, dir))
			}
		}
	}
	return nil
}

// private returns the files that must not be sent to clients: files that the configuration names for the server's own
// use, and the scripts of applications.
func (p *Plan) private(conf *settings.Config, contents *pybridge.Contents) *static.Private {
	files := slices.Concat([]string{p.Path}, conf.EnvFiles, conf.CertFiles, conf.KeyFiles, p.Site.LogFiles(conf))
	for _, named := range p.outside(conf, contents) {
		files = append(files, named...)
	}
	for _, name := range []string{auth.KeyFile, auth.AsideFile, auth.EndedFile, auth.CodeFile} {
		files = append(files, filepath.Join(p.stateDir, loginDir, name))
	}
	for _, app := range p.Site.allApps() {
		place, _ := settings.SplitApp(app.Name)
		module := filepath.Join(app.Folder(), strings.ReplaceAll(place, ".", "/"))
		for _, name := range []string{place, module + ".py", filepath.Join(module, "__init__.py")} {
			if settings.IsFile(name) {
				files = append(files, name)
			}
		}
	}
	for _, h := range p.Site.Hosts {
		files = append(files, h.CertFile, h.KeyFile, h.ClientCAs)
	}
	return static.NewPrivate(files...)
}

// users returns the user files that the entries of PATHS name, and the number of entries. In all functions, nil
// contents means that no applications are loaded.
func (p *Plan) users(contents *pybridge.Contents) (files []string, entries int) {
	if contents == nil {
		return nil, 0
	}
	for i := range contents.Apps {
		entries += len(contents.Apps[i].Table)
		for _, m := range contents.Apps[i].Table {
			if m.Login != "" {
				files = append(files, loginOf(m.Login).Users)
			}
		}
	}
	return files, entries
}

func (p *Plan) LogsIn(conf *settings.Config, contents *pybridge.Contents) bool {
	users, _ := p.users(contents)
	return conf.LoginUsers != "" || p.Site.LogsIn() || len(users) > 0
}

// Describe returns a description, for users, of the application or root that the command line or the top of the
// configuration file names.
func (c *SiteConfig) Describe(conf *settings.Config) string {
	var what []string
	if c.Root != "" {
		what = append(what, "files of "+c.Root)
	}
	if c.App.Name != "" {
		what = append(what, c.App.Name)
	}
	if len(what) == 0 {
		for _, one := range conf.Static {
			what = append(what, one.String())
		}
	}
	return strings.Join(what, " and ")
}

func (c *SiteConfig) Count() string {
	routes := 0
	for _, h := range c.Hosts {
		routes += len(h.Routes)
	}
	return pool.Count(len(c.Hosts), "host") + ", " + pool.Count(routes, "route")
}

// Write writes the sites for --print-config: the keys at the top that are not settings, and then the hosts with their
// routes, each table with its place in the file.
func (c *SiteConfig) Write(w io.Writer, conf *settings.Config) error {
	var b strings.Builder
	keys(&b, "", c.At, "root", "app", "host")
	if c.ownHost(conf) {
		fmt.Fprintln(&b, "\nhost default")
		for _, one := range conf.Static {
			line(&b, "  "+one.Prefix, "files "+one.Root, "")
		}
		rest(&b, c.Root, c.App, c.At)
	}
	for _, h := range c.Hosts {
		names := strings.Join(h.Names, " ")
		if names == "" || h.Default {
			names = strings.TrimSpace(names + " (default)")
		}
		fmt.Fprintln(&b)
		line(&b, "host "+names, "", h.At.String())
		keys(&b, "    ", h.At, "name", "default", "root", "app", "route")
		for _, r := range h.Routes {
			line(&b, "  "+r.Prefix+r.Match, r.Describe(), r.At.String())
			keys(&b, "    ", r.At, "prefix", "match", "app", "files", "redirect", "rewrite", "proxy", "status")
		}
		rest(&b, h.Root, h.App, h.At)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func rest(b *strings.Builder, root string, app SiteApplication, table *settings.TOMLTable) {
	if root != "" {
		line(b, "  /", "files "+root, table.Key("root"))
	}
	if app.Name != "" {
		line(b, "  /", "app "+app.Name, table.Key("app"))
	}
}

func keys(b *strings.Builder, indent string, table *settings.TOMLTable, hidden ...string) {
	if table == nil {
		return
	}
	for _, v := range table.Entries {
		if !slices.Contains(hidden, v.Key) {
			line(b, indent+v.Key, v.Show(), table.Key(v.Key))
		}
	}
}

func line(b *strings.Builder, subject, value, origin string) {
	if origin != "" {
		origin = "file " + origin
	}
	b.WriteString(settings.ConfigLine(subject, value, origin))
}
