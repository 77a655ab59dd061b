package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/configfile"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/site"
	"fapws/cmd/fapws/tomlfile"
	"fapws/cmd/fapws/version"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/backend"
)

// plan is what a process is to serve, as the command line and the configuration
// file say, before anything is loaded.
type plan struct {
	file  *tomlfile.File // nil: none
	path  string         // of it, absolute
	site  *site.Config
	named bool                      // by the command line: what is served
	bad   error                     // the mistakes in the file, if there are any
	apps  []application.Application // of site.Apps, in its order
}

// makePlan finds and reads the configuration file, and settles what it says in
// set. Mistakes in it are in plan.bad, a line each.
func makePlan(set *settings.Settings) (*plan, error) {
	p := &plan{}
	var wrong []error
	if name := configfile.Find(set); name != "" {
		var err error
		if p.file, err = configfile.Read(name); err != nil {
			return nil, exit.Usage(err)
		}
		p.path = filepath.Join(p.file.Dir, filepath.Base(name))
		wrong = append(wrong, set.ReadFile(p.file, site.Keys()))
	}
	p.site = site.Read(p.file, func(err error) { wrong = append(wrong, err) })
	p.bad = tomlfile.Join(wrong...)
	displaced(p.bad, set)
	return p, nil
}

// displaced adds to the mistakes of keys that are known elsewhere where that is: in
// TOML all that follows [[host]] belongs to it, which is easily forgotten.
func displaced(mistakes error, set *settings.Settings) {
	several, ok := mistakes.(interface{ Unwrap() []error })
	if !ok {
		return
	}
	for _, err := range several.Unwrap() {
		var m *tomlfile.Mistake
		if !errors.As(err, &m) || m.Key == "" {
			continue
		}
		switch {
		case m.Table != "" && (set.HasKey(m.Key) || slices.Contains(site.Keys(), m.Key)):
			m.Text = fmt.Sprintf("%s does not belong to [[%s]], but to the top of the file, before the first [[host]]", m.Key, m.Table)
		case m.Table == "" && slices.Contains(tomlfile.Keys(site.Host{}), m.Key):
			m.Text = fmt.Sprintf("%s does not belong here, but to a [[host]]", m.Key)
		case m.Table != "host.route" && slices.Contains(tomlfile.Keys(site.Route{}), m.Key):
			m.Text = fmt.Sprintf("%s does not belong here, but to a [[host.route]]", m.Key)
		}
	}
}

// choose settles what is served, in the folder that the process is in from now
// on: what the command line names, in the place of app and root of the file. In
// cmd, APP and its arguments are then those of the first application.
func (p *plan) choose(cmd *settings.Command, set *settings.Settings) error {
	switch {
	case cmd.Script == "":
		if len(cmd.Args) == 0 {
			cmd.Args = p.site.Args
		}
	case site.IsFolder(cmd.Script):
		p.named = true
		p.site.Serve(cmd.Script, "")
	default:
		p.named = true
		p.site.Serve("", cmd.Script)
	}
	apps := p.site.Apps()
	if len(apps) > 0 {
		cmd.Script = apps[0].Name
		return nil
	}
	if len(cmd.Args) > 0 {
		return fmt.Errorf("unexpected word %s after --: no application is served that could take it", cmd.Args[0])
	}
	cmd.Script = ""
	return nil
}

// nothing is the error that there is nothing to be served.
func (p *plan) nothing(cmd *settings.Command) error {
	switch {
	case p.bad != nil:
		return p.bad // perhaps it is a key that was spelled wrong
	case p.file != nil:
		return fmt.Errorf("%s: nothing to serve: set app, root or [[host]]", p.file.Name)
	}
	return nothingNamed(cmd)
}

// find looks for the applications. The error is a failure, or a mistake in the
// file.
func (p *plan) find(conf settings.Config) error {
	for _, app := range p.site.Apps() {
		a, err := application.Find(app.Name, app.Folder(), conf)
		if err != nil {
			if app.At.File != nil {
				err = exit.NotStarted("%w", app.At.Errorf("app: %v", err))
			}
			return err
		}
		p.apps = append(p.apps, a)
	}
	return nil
}

// options says what Python shall load; there is at least one application.
func (p *plan) options(cmd *settings.Command, set *settings.Settings) pybridge.Options {
	conf, _ := set.Config() // its errors are about other things, and come later
	o := pybridge.Options{
		Args:    cmd.Args,
		Globals: set.Globals(),
		Path:    conf.PythonPath,
		Venv:    conf.Venv,
	}
	if o.Venv == "off" {
		o.Venv = ""
	}
	for i := range p.apps {
		o.Apps = append(o.Apps, p.apps[i].Options(conf))
	}
	return o
}

// build makes the sites, with the applications in app, nil if there are none, which forks
// runs, if it is not nil.
// Without logs it only looks for mistakes.
func (p *plan) build(set *settings.Settings, conf *settings.Config, app *pybridge.Contents, forks *forks, files *logs.Files, ran *programs, log func(runtime.Level, string)) (*site.Built, error) {
	names := p.site.Apps()
	private := p.site.Private(conf)
	parts := site.Parts{
		Private: private,
		Conf:    conf,
		Source:  set.Source,
		List:    set.Source("autoindex").Level == settings.FromDefault,
		App: func(name string, add func(backend.Responder) (runtime.Handler, int)) (table []runtime.Mount, most int64, err error) {
			if app == nil {
				return nil, 0, nil // only mistakes are looked for
			}
			i := slices.IndexFunc(names, func(a site.Application) bool { return a.Name == name })
			if i < 0 {
				return nil, 0, fmt.Errorf("%s was not loaded", name)
			}
			script := name
			if len(names) == 1 {
				script = (&settings.Command{Script: name}).ScriptName()
			}
			if i > 0 && app.Object(i) == "" { // of the first one it is a setting, for all
				if most, err = set.BodyLimit(script, globalOf(app, i)); err != nil {
					return nil, 0, exit.Usage(err)
				}
			}
			table, err = mountTable(script, conf.Threads, app.Mounts(i), forks, ran, private, add)
			return table, most, err
		},
		Log:      log,
		Check:    files == nil,
		Software: version.Software(),
		Programs: ran.gate,
	}
	if files != nil {
		parts.Logs = files
		parts.LogClient = func(level runtime.Level, client, line string) { files.Client(0, level, client, line) }
	}
	return p.site.Build(parts)
}

// unbuilt is the error of build as one that ends fapws.
func unbuilt(err error) error {
	var f *exit.Error
	if errors.As(err, &f) {
		return f // of an application
	}
	return exit.Usage(err)
}

// name is what check calls that which it has judged.
func (p *plan) name(conf *settings.Config) string {
	if p.file != nil {
		return p.file.Name
	}
	return p.site.What(conf)
}

// label is what the server is known by: what the command line or the top of the
// file names to be served, else the file.
func (p *plan) label(conf *settings.Config) string {
	switch {
	case p.site.App.Name != "":
		return p.site.App.Name
	case p.site.Root != "" || p.file == nil:
		return p.site.What(conf)
	}
	return p.file.Name
}

// counted says for check what there is: "2 hosts, 5 routes, WSGI app:application".
func (p *plan) counted(app *pybridge.Contents, conf *settings.Config) string {
	var what []string
	if p.site.Root != "" && p.file == nil {
		what = append(what, "a folder of files")
	} else if p.site.Root != "" {
		what = append(what, p.site.What(conf))
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
	if len(p.site.Hosts) > 0 {
		what = append([]string{p.site.Count()}, what...)
	}
	if len(what) == 0 {
		what = append(what, "folders of files")
	}
	return strings.Join(what, ", ")
}

// served says for people what is served.
func (p *plan) served(app *pybridge.Contents, conf *settings.Config) string {
	var what []string
	if p.site.Root != "" {
		what = append(what, p.site.What(conf))
	} else if app != nil && p.site.App.Name != "" {
		what = append(what, app.Served(0))
	} else if len(conf.Static) > 0 {
		what = append(what, p.site.What(conf))
	}
	if n := len(p.site.Hosts); n > 0 {
		what = append(what, p.site.Count())
	}
	line := strings.Join(what, ", ")
	if p.file != nil {
		line += " (" + p.file.Name + ")"
	}
	return line
}

// python is the version of the interpreter that runs, "" for none.
func (p *plan) python() string {
	if len(p.site.Apps()) == 0 {
		return ""
	}
	return pybridge.Version()
}

// isOpen reports whether neither the configuration restricts clients, by auth, allow or
// deny, nor a proxy is trusted that may do so.
func (p *plan) isOpen(conf *settings.Config) bool {
	return len(conf.Proxies) == 0 && !p.site.Restricts()
}
