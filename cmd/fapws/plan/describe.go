package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// Name returns the name of the application or site for check.
func (p *Plan) Name(conf *settings.Config) string {
	if p.File != nil {
		return p.File.Name
	}
	return p.Site.What(conf)
}

// Label returns the name of the server for users: the application or directory that the command line or the top of
// the file names, else the file.
func (p *Plan) Label(conf *settings.Config) string {
	switch {
	case p.Site.App.Name != "":
		return p.Site.App.Name
	case p.Site.Root != "" || p.File == nil:
		return p.Site.What(conf)
	}
	return p.File.Name
}

// Counted returns the numbers of parts for check: "2 hosts, 5 routes, WSGI app:application".
func (p *Plan) Counted(app *pybridge.Contents, conf *settings.Config) string {
	var what []string
	if p.Site.Root != "" && p.File == nil {
		what = append(what, "a directory of files")
	} else if p.Site.Root != "" {
		what = append(what, p.Site.What(conf))
	}
	for i := range p.apps {
		switch n := len(app.Mounts(i)); {
		case app.Object(i) != "":
			what = append(what, fmt.Sprintf("%s, which is %s", app.Served(i), app.Object(i)))
		case n == 1:
			what = append(what, "1 path")
		default:
			what = append(what, fmt.Sprintf("%d paths", n))
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

// Served describes the served application or site for people.
func (p *Plan) Served(app *pybridge.Contents, conf *settings.Config) string {
	var what []string
	if p.Site.Root != "" {
		what = append(what, p.Site.What(conf))
	} else if app != nil && p.Site.App.Name != "" {
		what = append(what, app.Served(0))
	} else if len(conf.Static) > 0 {
		what = append(what, p.Site.What(conf))
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

// Python is the version of the running interpreter, "" without one.
func (p *Plan) Python() string {
	if len(p.Site.Apps()) == 0 {
		return ""
	}
	return pybridge.Version()
}

// IsOpen reports whether neither the configuration restricts clients, by auth, allow or
// deny, nor a proxy is trusted that may do so.
func (p *Plan) IsOpen(conf *settings.Config) bool {
	return len(conf.Proxies) == 0 && conf.LoginUsers == "" && !p.Site.Restricts()
}

// Folders returns where the files of the applications are.
func (p *Plan) Folders() (dirs []string) {
	for _, app := range p.Site.Apps() {
		dir := application.Folder(app.Name)
		if dir == "." && app.Folder() != "" {
			dir = app.Folder()
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Changeable returns the directories that an application in the sandbox may change, as far as the configuration names them; none without
// a sandbox.
func (p *Plan) Changeable(conf *settings.Config) (dirs []string) {
	if conf.Sandbox == settings.SandboxModes[0] {
		return nil
	}
	paths := slices.Concat(conf.SandboxWrite, p.Site.Reach().Uploads)
	for _, log := range append(p.Site.LogFiles(), conf.AccessLog, conf.ErrorLog) {
		if log != "-" && log != "off" {
			paths = append(paths, filepath.Dir(log))
		}
	}
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			dirs = append(dirs, abs)
		}
	}
	return dirs
}

// LogsIn reports whether users log in by a form anywhere; contents may be nil, then entries of PATHS do not count.
func (p *Plan) LogsIn(conf *settings.Config, contents *pybridge.Contents) bool {
	if conf.LoginUsers != "" || p.Site.LogsIn() {
		return true
	}
	if contents != nil {
		for i := range p.apps {
			if slices.ContainsFunc(contents.Mounts(i), func(m pybridge.Mount) bool { return m.Login != "" }) {
				return true
			}
		}
	}
	return false
}
