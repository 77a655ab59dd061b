package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime/logfile"
	"fapws/runtime/login"
)

// inspect carries out a command that loads an application but does not serve it, or --print-config.
func inspect(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	log := func(_ logfile.Level, line string) { fmt.Fprintln(stderr, "fapws:", line) }
	wrong := p.Mistakes
	if wrong == nil {
		wrong = p.Find()
	}
	if wrong != nil {
		// The other mistakes are found without the applications.
		others := p.Check(&p.Conf, nil, log)
		var f *process.ExitError
		if errors.As(wrong, &f) && others == nil {
			return 0, &process.ExitError{Code: f.Code, Text: wrong.Error()}
		}
		return 0, process.ExitUsage(settings.JoinPath(wrong, others))
	}
	if p.FirstApp() == nil {
		return process.OK, withoutPython(p, stdout, log)
	}
	if err := p.SetVariables(); err != nil {
		return 0, err
	}
	app, err := p.Load(func(err error) int { return process.ExitReport(stderr, err) })
	if err != nil {
		return 0, err
	}
	switch p.Command.Word {
	case settings.WordRoutes:
		writeOwn(p, &app.Contents, stdout)
		if len(p.Site.Hosts) > 0 {
			if err := p.Site.Write(stdout, &p.Conf); err != nil {
				return 0, err
			}
		}
		code = app.Tool("_routes")
	case settings.WordShell:
		code = app.Tool("_shell")
	default:
		if err := judge(p, &app.Contents, stdout, log); err != nil {
			code = process.ExitReport(stderr, err)
		}
	}
	closing := process.ExitAfterClosingTime(code, func(line string) { log(logfile.Warning, line) })
	defer closing.Stop() // "check --sandbox" goes on
	return max(code, app.Close()), nil
}

// writeOwn shows the pages of the server itself, which come before the routes of all hosts. contents may be nil.
func writeOwn(p *plan.Plan, contents *pybridge.Contents, stdout io.Writer) {
	var lines []string
	if path := p.Conf.Status; path != "" {
		lines = append(lines, path+"/*  status page of every host")
	}
	if p.LogsIn(&p.Conf, contents) {
		lines = append(lines, login.FormPath+"  form of hosts where users log in", login.OutPath+"  and where they log out")
	}
	if len(lines) > 0 {
		fmt.Fprintln(stdout, strings.Join(lines, "\n")+"\n")
	}
}

// withoutPython is for a site that has no application.
func withoutPython(p *plan.Plan, stdout io.Writer, log func(logfile.Level, string)) error {
	switch p.Command.Word {
	case settings.WordShell:
		return process.ExitUsage(errors.New("shell: no application to load"))
	case settings.WordRoutes:
		writeOwn(p, nil, stdout)
		return p.Site.Write(stdout, &p.Conf)
	case settings.WordPrintConfig:
		return writeConfig(p, &p.Conf, stdout)
	}
	if err := p.Check(&p.Conf, nil, log); err != nil {
		return process.ExitFrom(err)
	}
	if err := p.CheckCertificates(&p.Conf, log); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "%s is fine: %s, for %s (without Python)\n", p.Name(&p.Conf), p.Counted(nil, &p.Conf), strings.Join(p.Conf.Bind, ", "))
	return err
}

// judge checks the loaded applications and prints the result.
func judge(p *plan.Plan, app *pybridge.Contents, stdout io.Writer, log func(logfile.Level, string)) error {
	conf, err := p.ReadScript(app)
	if err != nil {
		conf = p.Conf // without the globals of the script
	}
	if err := settings.JoinPath(err, p.Check(&conf, app, log)); err != nil {
		return process.ExitFrom(err)
	}
	if err := p.CheckCertificates(&conf, log); err != nil {
		return err
	}
	name := p.Command.ScriptName()
	if err := app.Forkable(); conf.Fork && err != nil {
		return process.ExitNotStarted("%s: %v", name, err)
	}
	if p.Command.Word == settings.WordPrintConfig {
		return writeConfig(p, &conf, stdout)
	}
	if p.File != nil {
		name = p.Name(&conf)
	}
	_, err = fmt.Fprintf(stdout, "%s is fine: %s, for %s (Python %s, %s)\n",
		name, p.Counted(app, &conf), strings.Join(conf.Bind, ", "), pybridge.Version(), worker.BannerMode(&conf))
	return err
}

// writeConfig is --print-config.
func writeConfig(p *plan.Plan, conf *settings.Config, stdout io.Writer) error {
	if err := p.Settings.WriteConfig(stdout); err != nil {
		return err
	}
	return p.Site.Write(stdout, conf)
}
