package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"fapws/cmd/fapws/application"
	"fapws/cmd/fapws/envfile"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// isInline decides before the script runs whether Python lives on the loop,
// because it must be started on the thread where it will run.
func isInline(set *settings.Settings, p *plan) bool {
	if conf, _ := set.Config(); len(p.apps) == 0 || conf.Fork {
		return false
	}
	conf, _ := set.Config() // its errors are about other things, and come later
	if set.Source("threads").Level > settings.FromScript {
		return conf.Threads == 0
	}
	if !p.apps[0].HasPATHS(conf) {
		return false
	}
	n, found := settings.PeekThreads(p.apps[0].Source)
	return found && n == 0
}

// checkInline compares what was decided before the script ran with what its
// THREADS is now.
func checkInline(script string, inline bool, threads int) error {
	if inline == (threads == 0) {
		return nil
	}
	return exit.Usage(fmt.Errorf("%s: THREADS is %d, which its text does not say plainly, and Python has started otherwise: write THREADS = %d on a line of its own, or use --threads %d",
		script, threads, threads, threads))
}

// setVariables sets the variables of --env-file for the application, before Python starts.
func setVariables(conf *settings.Config) error {
	for _, name := range conf.EnvFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return exit.Usage(fmt.Errorf("cannot read %s: %w", name, exit.Reason(err)))
		}
		list, err := envfile.Parse(name, string(text), os.LookupEnv)
		if err != nil {
			return exit.Usage(err)
		}
		given := map[string]bool{}
		for _, v := range list {
			if _, ok := os.LookupEnv(v.Name); !ok || given[v.Name] {
				given[v.Name] = true
				os.Setenv(v.Name, v.Value) // Parse lets neither an empty name nor NUL through
			}
		}
	}
	return nil
}

// loadScript loads the applications on the calling thread, which is Python's main
// thread from then on. report writes the error before Python is finalised; the error
// that loadScript returns has only the code.
func loadScript(o pybridge.Options, cmd *settings.Command, report func(error) int) (*pybridge.App, error) {
	var failed error
	code := exit.NoStart
	o.Failed = func(err error) {
		failed = err
		code = report(notLoaded(err, &o, cmd))
		exit.AfterClosingTime(code, func(string) {})
	}
	app, err := pybridge.Load(o)
	if err != nil && failed == nil {
		return nil, exit.NotStarted("%v", err)
	}
	if err != nil {
		return nil, exit.Silently(code)
	}
	return app, nil
}

// notLoaded turns an error of pybridge.Load into one line with a next step.
func notLoaded(err error, o *pybridge.Options, cmd *settings.Command) error {
	var ended *pybridge.ExitError
	switch {
	case !errors.As(err, &ended):
		if err := mistypedWord(o.Apps[0].Module, err); err != nil {
			return exit.Usage(err)
		}
		return exit.NotStarted("%v%s", err, application.DjangoHint(o.Apps[0].Script))
	case ended.Line == "":
		return exit.NotStarted("%s failed to load; see the traceback above", cmd.Script)
	case strings.Contains(ended.Line, "; ") || cmd.Word == settings.WordCheck:
		return exit.NotStarted("%s", ended.Line)
	}
	return exit.NotStarted("%s; correct it, then test with fapws check %s", ended.Line, cmd.Script)
}

// mistypedWord is the error of a module that does not exist and was probably meant as a
// command; nil for others.
func mistypedWord(module string, err error) error {
	if module == "" || !strings.HasPrefix(err.Error(), "no module named "+module+" ") {
		return nil
	}
	if answer := settings.UnknownWord(module, ""); answer != "" {
		return fmt.Errorf("%s is neither a command nor a module: %s", module, answer)
	}
	return nil
}

// globalOf reads a global of application i in the form that settings take.
func globalOf(app *pybridge.Contents, i int) func(string) (any, bool) {
	return func(name string) (any, bool) {
		v, ok := app.Global(i, name)
		if !ok {
			return nil, false
		}
		return plain(v), true
	}
}

func plain(v pybridge.Value) any {
	switch v.Kind {
	case pybridge.Int:
		return v.Int
	case pybridge.Float:
		return v.Float
	case pybridge.Str:
		return v.Str
	case pybridge.Bool:
		return v.Int != 0
	case pybridge.List:
		list := make([]any, len(v.List))
		for i := range v.List {
			list[i] = plain(v.List[i])
		}
		return list
	}
	return settings.Object{Repr: v.Str}
}
