package plan

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/logfile"
)

// IsInline reports whether Python runs on the event loop.
func (p *Plan) IsInline() bool {
	switch {
	case len(p.apps) == 0 || p.Conf.Fork:
		return false
	case p.Settings.Source("threads").Level > settings.FromScript || !p.apps[0].HasPATHS():
		return p.Conf.Threads == 0
	}
	n, found := settings.PeekThreads(p.apps[0].Source)
	return found && n == 0 || !found && p.Conf.Threads == 0
}

// ForeignGlobals returns a line for each global variable in a script with PATHS that is not a setting but was probably
// meant to be one.
func (p *Plan) ForeignGlobals() []string {
	if first := p.FirstApp(); first != nil && first.HasPATHS() {
		return settings.ForeignGlobals(p.Command.ScriptName(), first.Source)
	}
	return nil
}

// KnowsSettings reports whether the settings are already known before the applications are loaded, because the text of
// the script mentions no setting.
func (p *Plan) KnowsSettings() bool {
	first := p.FirstApp()
	return first == nil || !first.HasPATHS() || !settings.MentionsSetting(first.Source)
}

// SetVariables sets the variables of --env-file before Python starts. With the setting debug, SetVariables also sets
// FLASK_DEBUG, so that Flask passes exceptions to fapws and browsers show tracebacks.
func (p *Plan) SetVariables() error {
	if err := p.eachVariable(func(name, value string) { os.Setenv(name, value) }); err != nil {
		return err
	}
	if _, ok := os.LookupEnv("FLASK_DEBUG"); !ok && p.Conf.Debug > 0 {
		os.Setenv("FLASK_DEBUG", "1")
	}
	return nil
}

// CheckVariables returns a line for each mistake in the files of --env-file.
func (p *Plan) CheckVariables() error { return p.eachVariable(func(string, string) {}) }

// eachVariable calls set for each variable in the files of --env-file that the environment does not have.
func (p *Plan) eachVariable(set func(name, value string)) error {
	var wrong []error
	for _, file := range p.Conf.EnvFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			wrong = append(wrong, p.Settings.Located("env-file", fmt.Errorf("cannot read %w", err)))
			continue
		}
		variables, err := parseEnvFile(file, string(text), os.LookupEnv)
		wrong = append(wrong, err)
		for name, value := range variables {
			if _, ok := os.LookupEnv(name); !ok {
				// Setenv cannot fail, because parseEnvFile rejects empty names and NUL
				set(name, value)
			}
		}
	}
	if err := settings.JoinPath(wrong...); err != nil {
		return process.ExitUsage(err)
	}
	return nil
}

// options must be called only if the plan has an application.
func (p *Plan) options() pybridge.Options {
	o := pybridge.Options{
		Args:    p.Command.Args,
		Globals: settings.Globals(),
		Path:    p.Conf.PythonPath,
		Venv:    p.Conf.Venv,
		Loop:    p.Conf.Loop,
		Dev:     p.Conf.Dev,
		Fork:    p.Conf.Fork,
		Users:   auth.Act,
	}
	if o.Venv == "off" {
		o.Venv = ""
	}
	for i := range p.apps {
		o.Apps = append(o.Apps, p.apps[i].Application)
	}
	return o
}

// SlowLoad is the time after which a line is logged if an application is still loading or starting. Shortly before, the
// server looks for the first time which line of Python the application executes.
const (
	SlowLoad     = 10 * time.Second
	betweenLooks = 2 * time.Second
)

// warnIfSlow logs a line if the application has not loaded after SlowLoad.
func warnIfSlow(loaded <-chan struct{}, warn func(line string)) {
	var places [2]string
	for i, pause := range []time.Duration{SlowLoad - betweenLooks, betweenLooks} {
		select {
		case <-loaded:
			return
		case <-time.After(pause):
			places[i] = executing()
		}
	}
	warn(stillLoading(places[0], places[1]))
}

// stillLoading returns the line for an application that has executed the line of code first and later the line second.
// Only an application that stays at the same line may never finish.
func stillLoading(first, second string) string {
	line := fmt.Sprintf("the application is still loading after %v", SlowLoad)
	switch second {
	case "":
		return line
	case first:
		return line + ": it executes " + second +
			"; if this does not end, remove calls that wait or serve, such as app.run(), from its top level"
	}
	return line + ": its modules are imported slowly; now it executes " + second
}

// executing returns the line of code that the application executes, or "" if it is unknown.
func executing() string {
	place := make(chan string, 1)
	go func() { place <- pybridge.Executing() }()
	select {
	case at := <-place:
		return at
	case <-time.After(time.Second): // do not wait forever, because C code may be holding Python's GIL
		return ""
	}
}

// Load loads the applications on the calling thread, which becomes Python's main thread. Find must be called before
// Load. report logs an error before Python is finalized, so the error that Load returns contains only the exit code.
// warn is called on a separate goroutine. format is the format of Python's reports.
func (p *Plan) Load(format logfile.Look, report func(error) int, warn func(line string)) (*pybridge.App, error) {
	var failed error
	code := process.NoStart
	var closing *time.Timer
	o := p.options()
	o.Look = format
	o.Failed = func(err error, app *pybridge.Contents) {
		failed = err
		if err = p.notLoaded(err); len(app.Apps) > 0 {
			err = process.ExitFrom(errors.Join(err, p.Settings.ReadScript(p.Command.ScriptName(), app.Apps[0].Settings)))
		}
		code = report(err)
		closing = process.ExitAfterClosingTime(time.Time{}, func() { os.Exit(code) }, func(string) {})
	}
	loaded := make(chan struct{})
	go warnIfSlow(loaded, warn)
	dir, _ := os.Getwd()
	app, err := pybridge.Load(o)
	close(loaded)
	if now, _ := os.Getwd(); now != dir {
		p.Settings.Anchor(dir)
	}
	if closing != nil {
		closing.Stop()
	}
	if err != nil && failed == nil {
		return nil, process.ExitNotStarted("%v", err)
	}
	if err != nil {
		return nil, process.ExitSilently(code)
	}
	return app, nil
}

func (p *Plan) notLoaded(err error) error {
	var ended *pybridge.ExitError
	switch several, joined := err.(interface{ Unwrap() []error }); {
	case joined:
		wrong := several.Unwrap()
		for i := range wrong {
			wrong[i] = p.notLoaded(wrong[i])
		}
		return process.ExitFrom(errors.Join(wrong...))
	case !errors.As(err, &ended):
		return p.wrongApp(err)
	case ended.Stopped:
		return err
	case ended.Line == "":
		return process.ExitNotStarted("%s failed to load; see the traceback above", p.Command.Script)
	case strings.Contains(ended.Line, "; "):
		return process.ExitNotStarted("%s", ended.Line)
	}
	return process.ExitNotStarted("%s; correct it, then test with fapws check %s", ended.Line, p.Command.Script)
}

// wrongApp returns the error for a wrong application, with the line of the file that names it.
func (p *Plan) wrongApp(err error) error {
	exit := process.ExitNotStarted
	app, ok := errors.AsType[*pybridge.AppError](err)
	if !ok {
		return exit("%v", err)
	}
	module := p.apps[app.Index].Module
	if missing, ok := strings.CutPrefix(err.Error(), "no module named "); ok {
		if missing, _, _ = strings.Cut(missing, " "); strings.HasPrefix(module+".", strings.TrimRight(missing, ":")+".") {
			exit = func(format string, args ...any) error { return process.ExitUsage(fmt.Errorf(format, args...)) }
			if answer := settings.UnknownWord(module, ""); answer != "" {
				err = fmt.Errorf("%s is neither a command nor a module: %s", module, answer)
			}
		}
	}
	if at := p.Site.Apps()[app.Index].At; at.File != nil {
		err = at.Errorf("app: %w", err)
	}
	return exit("%v", err)
}

// ReadScript adds the settings in a script with PATHS and returns all settings. Applications without PATHS contain no
// settings for fapws: they are written for several servers and can use a name such as TIMEOUT for their own purposes.
func (p *Plan) ReadScript(app *pybridge.Contents) (conf settings.Config, err error) {
	script, inline := p.Command.ScriptName(), p.IsInline()
	if app.Apps[0].Class == "" {
		if err := p.Settings.ReadScript(script, app.Apps[0].Settings); err != nil {
			return conf, process.ExitUsage(err)
		}
	}
	p.Settings.NotePATHS(p.isAlone() && app.Apps[0].Class == "")
	if conf, err = p.Settings.Config(); err != nil {
		return conf, process.ExitUsage(err)
	}
	switch {
	case conf.Fork || inline == (conf.Threads == 0):
		return conf, nil
	case app.Apps[0].Class != "" && inline:
		return conf, process.ExitUsage(fmt.Errorf("%s: THREADS requires PATHS, which was not found: use --threads 0, "+
			"or remove THREADS", script))
	}
	return conf, process.ExitUsage(fmt.Errorf("%s: THREADS must be a literal, because it is read before the script "+
		"runs: write THREADS = %d on its own line, or use --threads %d", script, conf.Threads, conf.Threads))
}

// Recall adds the settings of the script in the same way as ReadScript. globals contains the settings, which another
// process has read from the script; nil means that the application has no PATHS.
func (p *Plan) Recall(globals pybridge.Globals) (conf settings.Config, err error) {
	// Change a copy of the settings, because the script may define different values when it runs in this process.
	set := p.Settings.Clone()
	set.NotePATHS(p.isAlone() && globals != nil)
	if err = set.ReadScript(p.Command.ScriptName(), globals); err == nil {
		conf, err = set.Config()
	}
	if err != nil {
		return conf, process.ExitUsage(err)
	}
	return conf, nil
}
