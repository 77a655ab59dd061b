package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"fapws/cmd/fapws/banner"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/tomlfile"
	"fapws/pybridge"
	"fapws/runtime"
)

// inspect does what a command word asks for with an application that is loaded
// but not served, and --print-config.
func inspect(cmd *settings.Command, set *settings.Settings, p *plan, stdout, stderr io.Writer) (code int, err error) {
	conf, err := set.Config()
	if err != nil {
		return 0, exit.Usage(err)
	}
	log := func(_ runtime.Level, line string) { fmt.Fprintln(stderr, "fapws:", line) }
	if p.bad == nil {
		p.bad = p.find(conf)
	}
	if p.bad != nil {
		// What else is wrong can be told without the applications.
		_, others := p.build(set, &conf, nil, nil, nil, &programs{}, log)
		var f *exit.Error
		if errors.As(p.bad, &f) && others == nil {
			return 0, &exit.Error{Code: f.Code, Text: p.bad.Error()}
		}
		return 0, exit.Usage(tomlfile.Join(p.bad, others))
	}
	if len(p.apps) == 0 {
		return exit.OK, withoutPython(cmd, set, p, stdout, log)
	}
	if err := setVariables(&conf); err != nil {
		return 0, err
	}
	app, err := loadScript(p.options(cmd, set), cmd, func(err error) int { return exit.Report(stderr, err) })
	if err != nil {
		return 0, err
	}
	warn := func(line string) { log(runtime.LevelWarning, line) }
	switch cmd.Word {
	case settings.WordRoutes:
		if len(p.site.Hosts) > 0 {
			if err := p.site.Write(stdout, &conf); err != nil {
				return 0, err
			}
		}
		code = app.Tool("_routes")
	case settings.WordShell:
		code = app.Tool("_shell")
	default:
		if err := judge(cmd, set, p, &app.Contents, stdout, log); err != nil {
			code = exit.Report(stderr, err)
		}
	}
	exit.AfterClosingTime(code, warn)
	return max(code, app.Close()), nil
}

// withoutPython is for a site that has no application.
func withoutPython(cmd *settings.Command, set *settings.Settings, p *plan, stdout io.Writer, log func(runtime.Level, string)) error {
	conf, err := set.Config()
	if err != nil {
		return exit.Usage(err)
	}
	switch cmd.Word {
	case settings.WordShell:
		return exit.Usage(errors.New("shell: there is no application to load"))
	case settings.WordRoutes:
		return p.site.Write(stdout, &conf)
	case settings.WordPrintConfig:
		if err := set.WriteConfig(stdout); err != nil {
			return err
		}
		return p.site.Write(stdout, &conf)
	}
	built, err := p.build(set, &conf, nil, nil, nil, &programs{}, log)
	if err != nil {
		return unbuilt(err)
	}
	built.Close()
	_, err = fmt.Fprintf(stdout, "%s is fine: %s, for %s (without Python)\n", p.name(&conf), p.counted(nil, &conf), strings.Join(conf.Bind, ", "))
	return err
}

// judge looks at what the applications left and says so.
func judge(cmd *settings.Command, set *settings.Settings, p *plan, app *pybridge.Contents, stdout io.Writer, log func(runtime.Level, string)) error {
	inline := isInline(set, p)
	if err := readSettings(cmd, set, app, inline); err != nil {
		return err
	}
	conf, err := set.Config()
	if err != nil {
		return exit.Usage(err)
	}
	built, err := p.build(set, &conf, app, nil, nil, &programs{}, log)
	if err != nil {
		return unbuilt(err)
	}
	built.Close()
	if err := app.Forkable(); conf.Fork && err != nil {
		return exit.NotStarted("%s: %v", cmd.ScriptName(), err)
	}
	if cmd.Word == settings.WordPrintConfig {
		if err := set.WriteConfig(stdout); err != nil {
			return err
		}
		return p.site.Write(stdout, &conf)
	}
	name := cmd.ScriptName()
	if p.file != nil {
		name = p.name(&conf)
	}
	_, err = fmt.Fprintf(stdout, "%s is fine: %s, for %s (Python %s, %s)\n",
		name, p.counted(app, &conf), strings.Join(conf.Bind, ", "), pybridge.Version(), banner.Mode(&conf))
	return err
}

// readSettings takes over what a script with PATHS sets. Any other application may be
// served by several servers: a TIMEOUT or SERVER in its module is its own.
func readSettings(cmd *settings.Command, set *settings.Settings, app *pybridge.Contents, inline bool) error {
	script := cmd.ScriptName()
	if app.Object(0) == "" {
		if err := set.ReadScript(script, globalOf(app, 0)); err != nil {
			return exit.Usage(err)
		}
	}
	conf, err := set.Config()
	if err != nil {
		return exit.Usage(err)
	}
	if conf.Fork {
		return nil
	}
	if app.Object(0) != "" && inline && conf.Threads != 0 {
		return exit.Usage(fmt.Errorf("%s: THREADS counts only beside PATHS, which was not found: use --threads 0, or remove THREADS", script))
	}
	return checkInline(script, inline, conf.Threads)
}
