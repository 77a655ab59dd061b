package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/system"
)

type Plan struct {
	Command  *settings.CommandLine
	Settings *settings.Settings
	Conf     settings.Config // settings before the first application changes them
	File     *settings.TOMLFile
	Path     string // absolute path of File or of a gunicorn.conf.py; "" if there is neither
	Site     *SiteConfig
	Broker   *pool.BrokerAddress // nil if --channels is not set
	// mistakes in the configuration file and in settings; a plan with mistakes can only be checked further
	Mistakes error
	// the sockets outside of the doors of the applications with processes of their own, by name (conn.Knock)
	Doors map[string]*os.File
	// root has checked the certificates, because this process may lack the permission to read the keys
	KeysRead bool
	Dir      string
	// warning about changes of a gunicorn.conf.py that a reload does not apply, or ""
	NeedsRestart string

	stateDir string
	foreign  []string      // warnings about settings of a gunicorn.conf.py
	named    string        // application or site that the command line names; "" if none
	apps     []Application // the applications in Site.Apps, in the same order; nil before Find
}

// Make reads the configuration file, changes to the directory from --chdir, and finds the application or site there.
// The result doubts contains warnings about settings that are probably mistakes.
func Make(cmd *settings.CommandLine, set *settings.Settings) (p *Plan, doubts []string, err error) {
	if p, err = Read(cmd, set); err != nil {
		return nil, nil, err
	}
	p.Conf, err = set.Config()
	p.Mistakes = settings.JoinPath(p.Mistakes, err)
	if p.Dir, err = os.Getwd(); err != nil {
		return nil, nil, process.ExitNotStarted("%v", err)
	}
	if p.Conf.Chdir != "" {
		if err := os.Chdir(p.Conf.Chdir); err != nil {
			return nil, nil, process.ExitUsage(settings.JoinPath(p.Mistakes, set.Wrong("chdir", err)))
		}
	}
	p.stateDir = absolute(cmp.Or(p.Conf.StateDir, usualStateDir()))
	for _, step := range []func() error{p.choose, p.checkSomething} {
		if err := step(); err != nil {
			return nil, nil, process.ExitUsage(settings.JoinPath(p.Mistakes, err))
		}
	}
	p.Mistakes = settings.JoinPath(p.Mistakes, p.checkACME(), p.checkClients(), p.checkPaths(), p.readBroker())
	doubts = p.doubts()
	if doubt := p.findVenv(); doubt != "" {
		doubts = append(doubts, doubt)
	}
	_ = p.Find() // callers that need the applications report the error
	set.NotePATHS(p.isAlone() && p.apps[0].HasPATHS())
	// read the settings again, because they now include the virtual environment and the host of the address
	if p.Conf, err = set.Config(); err != nil && p.Mistakes == nil {
		return nil, nil, process.ExitUsage(err)
	}
	return p, doubts, nil
}

func Read(cmd *settings.CommandLine, set *settings.Settings) (*Plan, error) {
	p := &Plan{Command: cmd, Settings: set}
	var wrong []error
	name := settings.FindFile(set, cmd.Script != "")
	if name != "" {
		p.Path = absolute(name)
	}
	switch {
	case filepath.Ext(name) == ".py" && set.InBundle():
		return nil, process.ExitUsage(fmt.Errorf("%s: an application in one file does not read the settings of gunicorn; write "+
			"those to change into fapws.toml, and type -c fapws.toml", name))
	case filepath.Ext(name) == ".py":
		if err := p.readGunicorn(name); err != nil {
			return nil, process.ExitUsage(err)
		}
	case name != "":
		var err error
		if p.File, err = set.ReadConfig(name, KeyDocs); err != nil {
			return nil, process.ExitUsage(err)
		}
		p.File.Each(func(f *settings.TOMLFile) {
			f.Misplaced = func(table, key string) string { return misplaced(set, table, key) }
		})
		wrong = append(wrong, set.ReadFile(p.File, FileKeys()))
	}
	kept := set.Keep()
	if filepath.Ext(name) == ".py" && len(kept) > 0 { // the supervisor itself compares fapws.toml
		p.NeedsRestart = fmt.Sprintf("%s: changes of %s take effect after a restart", name, strings.Join(kept, ", "))
	}
	if conf, _ := set.Config(); p.File != nil && conf.Chdir != "" { // Make reports the error
		folder := absolute(conf.Chdir)
		p.File.Each(func(f *settings.TOMLFile) {
			if folder != f.WorkDir { // otherwise the application is in the bundle
				f.AppDir = folder
			}
		})
	}
	p.Site = readSites(p.File, func(err error) { wrong = append(wrong, err) })
	set.NoteHosts(slices.ContainsFunc(p.Site.Hosts, func(h *Host) bool { return h.CertFile != "" }), p.Site.asksClients())
	p.Mistakes = settings.JoinPath(wrong...)
	return p, nil
}

// misplaced returns advice for a key that is unknown in its table but known in another table, or "". Users easily
// forget that in TOML, all keys after [[host]] belong to this table.
func misplaced(set *settings.Settings, table, key string) string {
	name := set.NameOf(key)
	switch {
	case table == "host" && name != key && slices.Contains(settings.KeysOf(Host{}), name):
		return fmt.Sprintf("unknown key %s of [[host]]: use %s", key, name)
	case table != "" && key == "factory":
		return fmt.Sprintf(`%s is not a key of [%s]: write a call, app = "MODULE:FACTORY()"`, key, table)
	case table == "host.route" && slices.Contains(settings.KeysOf(Host{}), key):
		return fmt.Sprintf("%s is a key of [[host]]: move it there, above the first [[host.route]]", key)
	case table != "" && (name != "" || slices.Contains(FileKeys(), key)):
		if table == "host" || table == "host.route" {
			table = "[" + table + "]"
		}
		return fmt.Sprintf("%s is not a key of [%s]: move it to the top of the file, before the first [[host]]", key, table)
	case table == "" && slices.Contains(settings.KeysOf(Host{}), key):
		return fmt.Sprintf("%s is a key of [[host]]: move it there", key)
	case table != "host.route" && slices.Contains(settings.KeysOf(Route{}), key):
		return fmt.Sprintf("%s is a key of [[host.route]]: move it there", key)
	}
	return ""
}

// choose determines the application or site. Paths are relative to the working directory. The command line overrides
// the keys app and root in the configuration file.
func (p *Plan) choose() error {
	cmd := p.Command
	p.named = cmd.Script
	if cmd.Script == "" && len(cmd.Args) == 0 {
		cmd.Args = p.Site.Args
	}
	p.serveNamed()
	if apps := p.Site.Apps(); len(apps) > 0 {
		cmd.Script = apps[0].Name
		return nil
	}
	if len(cmd.Args) > 0 && p.Site.App.Name == "" {
		return fmt.Errorf("unexpected word %s after --: there is no application to pass it to", cmd.Args[0])
	}
	cmd.Script = ""
	return nil
}

func (p *Plan) serveNamed() {
	switch {
	case p.named == "":
	case isFolder(p.named):
		p.Site.Serve(p.named, "")
	default:
		p.Site.Serve("", p.named)
	}
	p.makeChildren()
}

// Later returns the plan for the current state of the configuration file, or an error if the file cannot be read. If the
// settings in the file have mistakes, the plan has the Settings of p.
func (p *Plan) Later() (*Plan, error) {
	file, err := p.Settings.ReadConfig(p.Path, KeyDocs)
	if err != nil {
		return nil, err
	}
	later := *p
	if p.Conf.Chdir != "" {
		file.Each(func(f *settings.TOMLFile) { f.AppDir = p.File.AppDir })
	}
	later.Site = readSites(file, func(error) {})
	if set, err := settings.New(p.Command.Flags, os.LookupEnv); err == nil && set.ReadFile(file, FileKeys()) == nil {
		later.Settings = set
	}
	later.serveNamed()
	return &later, nil
}

func (p *Plan) checkSomething() error {
	switch {
	case p.Command.Word == settings.WordPrintConfig || len(p.Site.Hosts) > 0 || p.Site.ownHost(&p.Conf):
		return nil
	case p.Mistakes != nil:
		return nil // the key of the application may be misspelled
	case p.File != nil:
		return fmt.Errorf("%s: nothing to serve: set app, root or [[host]]", p.File.Name)
	}
	if p.Conf.Chdir != "" && settings.IsFile("fapws.toml") { // the file is searched before the directory is changed
		return fmt.Errorf("no application given; %s has a fapws.toml: type fapws -c %[1]s/fapws.toml, without --chdir",
			strings.TrimSuffix(p.Conf.Chdir, "/"))
	}
	return nothingNamed(p.Command)
}

// Find finds the applications, and can be called more than once. The error has a line for each application that cannot
// be found.
func (p *Plan) Find() error {
	factory := ""
	if from := p.Settings.Source("factory"); p.Conf.Factory {
		if factory = from.Name; from.Level == settings.FromFile {
			factory = fmt.Sprintf("factory (%s)", from.Name)
		}
	}
	var wrong []error
	for _, app := range p.Site.Apps()[len(p.apps):] {
		a, err := findApplication(p.Command.Word, app.Name, app.Folder(), factory, p.Conf)
		if err != nil {
			if app.At.File != nil {
				err = process.ExitFrom(app.At.Errorf("app: %w", err))
			}
			wrong = append(wrong, err)
		} else if wrong == nil {
			p.apps = append(p.apps, a)
		}
	}
	if len(wrong) == 1 {
		return wrong[0]
	}
	return errors.Join(wrong...)
}

// isAlone reports whether the server runs exactly one application that has been found, and no hosts of a configuration
// file.
func (p *Plan) isAlone() bool {
	return len(p.apps) == 1 && p.Site.App.Name != "" && len(p.Site.Hosts) == 0
}

func (p *Plan) FirstApp() *Application {
	if len(p.apps) == 0 {
		return nil
	}
	return &p.apps[0]
}

// Build creates the sites for a process that serves with the settings conf. An error is a *process.ExitError.
func (p *Plan) Build(conf *settings.Config, parts Parts) (*Built, error) {
	built, err := newBuilder(p, conf, &parts).build()
	if err != nil {
		return nil, process.ExitFrom(err)
	}
	return built, nil
}

// Check finds mistakes in the sites that Build would create. contents holds the loaded applications; if it is nil,
// applications are not checked. An error is a *process.ExitError, or lists mistakes in the file.
func (p *Plan) Check(conf *settings.Config, contents *pybridge.Contents, log func(logfile.Level, string)) error {
	built, err := newBuilder(p, conf, &Parts{Contents: contents, Programs: &Programs{}, Log: log}).build()
	if err != nil {
		return err
	}
	built.Close()
	return nil
}

// readBroker parses the URL of the broker. Only the supervisor and the command check connect to the broker.
func (p *Plan) readBroker() (err error) {
	if p.Conf.Channels == "" {
		return nil
	}
	if p.Broker, err = pool.ParseBroker(p.Conf.Channels); err != nil {
		return fmt.Errorf("%s %s: must be %w", p.Settings.Origin("channels"), settings.HidePassword(p.Conf.Channels), err)
	}
	return nil
}

func nothingNamed(cmd *settings.CommandLine) error {
	prefix := cmd.Word.Start() + " "
	if flag, value := cmd.Flags.TookApp(); flag == "--config" && settings.ForeignFile(cmd.Word, value) != "" {
		prefix += "-c " + value + " "
	} else if flag == "--config" {
		return fmt.Errorf("no application given: %s is an application and no configuration file; type fapws %s", value, value)
	} else if flag != "" {
		return fmt.Errorf("no application given: %s took %s as its value; type fapws %s VALUE %s", flag, value, flag, value)
	}
	for _, name := range []string{"FLASK_APP", "UVICORN_APP", "GRANIAN_APP"} {
		if app := os.Getenv(name); app != "" {
			return fmt.Errorf("no application given; %s in the environment names one: type fapws %s", name, app)
		}
	}
	found, apps := appsIn(".")
	if settings.IsFile("index.html") {
		found, apps = append(found, "index.html"), append(apps, ".")
	}
	if len(found) == 0 {
		return settings.ErrNothing
	}
	return fmt.Errorf("no application given; this directory has %s: type %s%s; see fapws --help",
		strings.Join(found, ", "), prefix, strings.Join(apps, ", or "+prefix))
}

func appsIn(folder string) (found, apps []string) {
	for _, name := range []string{"app.py", "main.py", "wsgi.py", "asgi.py", "application.py", "manage.py"} {
		app := filepath.Join(folder, name)
		if unix.Access(app, unix.F_OK) != nil || !settings.IsFile(app) { // mostly missing, and os.Stat costs more
			continue
		}
		if name == "manage.py" {
			if app = settings.DjangoArguments(app, ""); app == "" {
				continue
			}
		}
		found, apps = append(found, name), append(apps, app)
	}
	return found, apps
}

// If no setting names a virtual environment, findVenv searches for a directory venv or .venv in the directory of the
// first application and in the working directory. The result doubt is a warning about a virtual environment that this
// Python cannot use.
func (p *Plan) findVenv() (doubt string) {
	if len(p.Site.Apps()) == 0 || p.Settings.Source("venv").Level > settings.FromDefault {
		return ""
	}
	venv, doubt := venvIn(p.Site.Apps()[0].dir(), ".")
	if venv != "" {
		p.Settings.TakeVenv(venv, "next to the application")
	}
	return doubt
}

func venvIn(folders ...string) (venv, doubt string) {
	for _, folder := range folders {
		for _, name := range []string{".venv", "venv"} {
			venv := filepath.Join(folder, name)
			if !settings.IsFile(filepath.Join(venv, "pyvenv.cfg")) {
				continue
			}
			_, err := pybridge.FindPython(venv)
			if err == nil {
				return venv, ""
			}
			if doubt == "" {
				doubt = err.Error() + "; it is not used"
			}
		}
	}
	return "", doubt
}

// doubts returns warnings about probable mistakes: a served directory that looks like a project, two virtual
// environments, a missing directory of modules, a route or pattern that looks like a regular expression, and a
// configuration file with hosts in addition to the application on the command line.
func (p *Plan) doubts() (lines []string) {
	lines = slices.Clone(p.foreign)
	roots := p.Site.Reach().Roots
	if len(p.Site.Apps()) > 0 {
		roots = nil
	}
	for _, folder := range roots {
		if found, apps := appsIn(folder); len(found) > 0 {
			lines = append(lines, fmt.Sprintf("%s looks like a project (%s), but only its files are served, without "+
				"sources, databases and keys; to run the application, type fapws %s",
				folder, strings.Join(found, ", "), strings.Join(apps, ", or fapws ")))
		}
	}
	if shell := os.Getenv("VIRTUAL_ENV"); shell != "" && p.Settings.Source("venv").Level == settings.FromFile &&
		len(p.Site.Apps()) > 0 && system.RealPath(shell) != system.RealPath(p.Conf.Venv) {
		lines = append(lines, fmt.Sprintf("%s: %s is used, not VIRTUAL_ENV=%s of the environment",
			p.Settings.Origin("venv"), p.Conf.Venv, shell))
	}
	for _, path := range p.Conf.PythonPath {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			lines = append(lines, fmt.Sprintf("%s: %s does not exist; Python ignores it", p.Settings.Origin("pythonpath"), path))
		}
	}
	pattern := func(table *settings.TOMLTable, key, text string) {
		if sign := route.Foreign(text, false); sign != "" && table.Set(key) {
			lines = append(lines, fmt.Sprint(table.Errorf(key,
				"%q: %s is compared as it is; a pattern has * ? and [ ] only, as *.php", text, sign)))
		}
	}
	patterns := func(table *settings.TOMLTable, files *Files) {
		for _, rule := range files.Expires {
			text, _, _ := strings.Cut(rule, "=")
			pattern(table, "expires", text)
		}
		for _, text := range files.Expose {
			pattern(table, "expose", text)
		}
	}
	for _, h := range p.Site.Hosts {
		patterns(h.At, &h.Files)
		for _, r := range h.Routes {
			patterns(r.At, &r.Files)
			pattern(r.At, "match", r.Match)
			if sign := route.Foreign(r.Prefix, true); sign != "" {
				lines = append(lines, fmt.Sprint(r.At.Errorf("prefix",
					"%q: %s is compared as it is; a prefix is not a pattern", r.Prefix, sign)))
			}
		}
	}
	lines = append(lines, p.channelWarnings()...)
	if doubt := p.unreachable(); doubt != "" {
		lines = append(lines, doubt)
	}
	if p.File != nil && p.named != "" && p.Settings.File() == "" && len(p.Site.Hosts) > 0 {
		lines = append(lines, fmt.Sprintf("%s also serves %s; requests for them do not reach %s (-c off ignores the file)",
			p.File.Name, p.Site.Count(), p.named))
	}
	return lines
}

func (p *Plan) checkPaths() error {
	var wrong []error
	conf := &p.Conf
	check := func(name string, paths []string, wrongIf func(path string, st fs.FileInfo, err error) error) {
		for _, path := range paths {
			st, err := os.Stat(path)
			if err = wrongIf(path, st, err); err != nil {
				wrong = append(wrong, p.Settings.Wrong(name, fmt.Errorf("%s: %w", path, system.Cause(err))))
			}
		}
	}
	isDir := func(path string, st fs.FileInfo, err error) error {
		switch {
		case err != nil:
			return err
		case !st.IsDir():
			return errors.New("not a directory")
		}
		return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.X_OK, unix.AT_EACCESS)
	}
	check("reload-dir", conf.ReloadDirs, isDir)
	check("pythonpath", conf.PythonPath, func(_ string, st fs.FileInfo, err error) error {
		if err == nil && !st.IsDir() && strings.HasSuffix(st.Name(), ".py") {
			return errors.New("not a directory or archive of modules")
		}
		return nil
	})
	check("x-sendfile", conf.Server.SendfileRoots, isDir)
	for _, one := range conf.Server.AccelRoots {
		check("x-accel", []string{one.Root}, isDir)
	}
	if conf.Chroot != "" {
		check("chroot", []string{conf.Chroot}, func(path string, st fs.FileInfo, err error) error {
			if err != nil || !st.IsDir() {
				return nil // confine.FindChroot returns the error
			}
			return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
		})
	}
	if conf.Sandboxed() {
		exists := func(_ string, _ fs.FileInfo, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return err
			}
			// Ignore other errors: the user of the workers may have the permission to examine the file even if this
			// process lacks it.
			return nil
		}
		check("sandbox-read", conf.SandboxRead, exists)
		check("sandbox-write", conf.SandboxWrite, exists)
		check("sandbox-exec", conf.SandboxExec, exists)
	}
	for _, pattern := range slices.Concat(conf.ReloadInclude, conf.ReloadExclude) {
		if _, err := filepath.Match(pattern, ""); err != nil {
			name := "reload-include"
			if !slices.Contains(conf.ReloadInclude, pattern) {
				name = "reload-exclude"
			}
			wrong = append(wrong, p.Settings.Wrong(name, fmt.Errorf("the pattern %q is invalid: %w", pattern, err)))
		}
	}
	if venv := p.Conf.Venv; venv != "" && venv != "off" && len(p.Site.Apps()) > 0 {
		if _, err := pybridge.FindPython(venv); err != nil {
			wrong = append(wrong, p.Settings.Wrong("venv", err))
		}
	}
	return errors.Join(wrong...)
}
