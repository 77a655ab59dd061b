package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/supervisor"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// checkSandbox makes the requests of "check --sandbox", after all other checks. A separate process makes the requests
// in the sandbox, because this process must remove the directory of temporary files, which the sandbox forbids.
func checkSandbox(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	if os.Getenv(confine.SandboxVariable) != "" {
		return worker.CheckSandbox(p, stdout, stderr)
	}
	if without := confine.MissingInSandbox(); without != "" {
		printTo(stderr)(logfile.Warning, "sandbox: this system cannot restrict "+without)
	}
	dir, err := os.MkdirTemp("", "fapws-sandbox-")
	if err != nil {
		return 0, process.ExitNotStarted("cannot make a directory for temporary files: %v", err)
	}
	defer os.RemoveAll(dir)
	cmd := process.Again(false, process.Arguments()...)
	cmd.Dir = p.Dir
	cmd.Env = append(cmd.Env, confine.SandboxVariable+"="+dir, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	var ended *exec.ExitError
	switch err := cmd.Run(); {
	case errors.As(err, &ended) && ended.Exited():
		return ended.ExitCode(), nil
	case err != nil:
		return 0, process.ExitNotStarted("the process in the sandbox failed: %v", err)
	}
	return process.OK, nil
}

// childVariable is set in the environment of a process that checkChildren starts.
const childVariable = "_FAPWS_CHILD_CHECK"

// checksChild reports whether this process checks an application with processes of its own, which listens on no address.
var checksChild = sync.OnceValue(func() bool {
	defer os.Unsetenv(childVariable)
	return os.Getenv(childVariable) != ""
})

// rootDoubts returns a warning if a start by this user would be refused. It is no error, because a service manager can
// start the server as another user.
func rootDoubts(conf *settings.Config) []string {
	if _, err := judgeRoot(conf); err != nil && !worker.ChecksReload() && !checksChild() {
		return []string{"a start as root would end: " + err.Error() + ", unless a service manager sets the user"}
	}
	return nil
}

// checkChildren checks each application with processes of its own as a server of its own, and returns the first exit code
// that is not 0.
func checkChildren(p *plan.Plan, stderr io.Writer) (code int) {
	for _, c := range p.Site.Children {
		cmd := process.Again(false, c.Arguments(settings.WordCheck, "--ctl-socket=off")...)
		if c.Program != "" {
			cmd.Path, cmd.Args[0] = c.Program, c.Program
		}
		cmd.Env, cmd.Dir = append(c.Environment(p.Conf.Channels), childVariable+"=1"), "/"
		out, err := cmd.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			fmt.Fprintf(stderr, "%s: %s", c.Name, line)
		}
		if err != nil && cmd.ProcessState == nil {
			fmt.Fprintf(stderr, "%s: %v\n", c.Name, err)
		}
		if failed := process.NoStart; err != nil && code == process.OK {
			if code = failed; cmd.ProcessState != nil && cmd.ProcessState.ExitCode() > 0 {
				code = cmd.ProcessState.ExitCode()
			}
		}
	}
	return code
}

// warnings counts the warnings that the command of this process has printed.
var warnings atomic.Int32

// printTo returns a function that prints lines of a command, which need no time. Warnings begin with the word
// warning, because errors are printed among them.
func printTo(stderr io.Writer) func(logfile.Level, string) {
	return func(level logfile.Level, line string) {
		if level == logfile.Warning {
			warnings.Add(1)
			line = "warning: " + line
		}
		fmt.Fprintln(stderr, "fapws:", line)
	}
}

// mistakes returns an error that lists wrong, which prevents the applications from being loaded, and all mistakes that
// can be found without them. Addresses are not checked, because wrong may be about them. outside is false in a process
// that the supervisor has started, which may not see the files of the supervisor.
func mistakes(p *plan.Plan, wrong error, outside bool, log func(logfile.Level, string)) error {
	others := []error{p.Check(&p.Conf, nil, log)}
	if outside {
		nothing := func(logfile.Level, string) {}
		others = append(others, checkWorkerFiles(p, &p.Conf), supervisor.Check(p), checkFiles(p, &p.Conf, nil, nothing))
	}
	return joinMistakes(wrong, settings.JoinPath(others...))
}

// joinMistakes joins wrong and second. The result has the exit code of wrong, with which a start ends.
func joinMistakes(wrong, second error) error {
	f := &process.ExitError{Code: process.BadUsage}
	errors.As(wrong, &f)
	return &process.ExitError{Code: f.Code, Text: settings.JoinPath(wrong, second).Error()}
}

// checkNamed returns the mistakes about the user, the files of variables and the applications, for a process that will
// load the applications. The user of the workers is not checked by the workers themselves.
func checkNamed(p *plan.Plan) error {
	return settings.JoinPath(supervisor.CheckNames(p), p.CheckVariables(), p.Find())
}

// inspect runs a command that loads an application without serving it, or --print-config. tool is what "bundle" does with
// the application, and returns the exit code; nil for other commands.
func inspect(p *plan.Plan, stdout, stderr io.Writer, tool func(*pybridge.App) int) (code int, err error) {
	log := printTo(stderr)
	warn := func(line string) { log(logfile.Warning, line) }
	if err := p.Find(); err != nil {
		return 0, mistakes(p, err, false, log)
	}
	if err := p.SetVariables(); err != nil {
		return 0, err
	}
	if p.FirstApp() == nil {
		return process.OK, show(p, nil, stdout, log)
	}
	app, err := p.Load(logfile.Plain, func(err error) int { return process.ExitReport(stderr, err) }, warn)
	if err != nil {
		return 0, err
	}
	if module := map[settings.Word]string{settings.WordRoutes: "_routes", settings.WordShell: "_shell"}[p.Command.Word]; module != "" {
		tool = func(app *pybridge.App) int { return app.Tool(module) }
	}
	if err := show(p, &app.Contents, stdout, log); err != nil {
		code = process.ExitReport(stderr, err)
	} else if tool != nil {
		code = tool(app)
	}
	closing := process.ExitAfterClosingTime(time.Time{}, func() { os.Exit(code) }, warn)
	defer closing.Stop() // this process continues after "check --sandbox"
	return max(code, app.Close()), nil
}

// contents is nil without an application.
func show(p *plan.Plan, contents *pybridge.Contents, stdout io.Writer, log func(logfile.Level, string)) error {
	switch {
	case (p.Command.Word == settings.WordShell || p.Command.Word == settings.WordBundle) && contents == nil:
		return noApplication(p)
	case p.Command.Word == settings.WordShell || p.Command.Word == settings.WordBundle:
		return nil
	case p.Command.Word != settings.WordRoutes:
		return judge(p, contents, stdout, log)
	}
	writeOwn(p, contents, stdout)
	if contents == nil || len(p.Site.Hosts) > 0 {
		return p.Site.Write(stdout, &p.Conf)
	}
	return nil
}

func noApplication(p *plan.Plan) error {
	return process.ExitUsage(fmt.Errorf("%s: no application to load", p.Command.Word))
}

// writeOwn prints the pages of the server itself, which precede the routes of all hosts.
func writeOwn(p *plan.Plan, contents *pybridge.Contents, stdout io.Writer) {
	var lines []string
	if path := p.Conf.Status; path != "" {
		lines = append(lines, path+"/*  status page of every host")
	}
	if p.LogsIn(&p.Conf, contents) {
		lines = append(lines, auth.FormPath+"  form of hosts where users log in", auth.OutPath+"  and where they log out")
	}
	if len(lines) > 0 {
		fmt.Fprintln(stdout, strings.Join(lines, "\n")+"\n")
	}
}

// checkOutside finds what would end the start of a server before it loads the application. After checkOutside, this
// process may become the user of the workers.
func checkOutside(p *plan.Plan, log func(logfile.Level, string)) error {
	if err := supervisor.Check(p); err != nil {
		return err
	}
	// Ignore the error: without the applications, their settings are unknown.
	_ = p.Find()
	addrs, certain := worker.Passed(nil).Early(p.Settings, &p.Conf, p.FirstApp())
	if checksChild() || !certain && !ofAnotherUser(&p.Conf) {
		addrs = nil // judge checks the addresses that the application sets
	}
	return checkFiles(p, &p.Conf, addrs, log)
}

// checkFiles returns an error with a line for each file and address that a server could not use.
func checkFiles(p *plan.Plan, conf *settings.Config, addrs []string, log func(logfile.Level, string)) error {
	options, err := worker.ListenOptions(conf)
	wrong := []error{p.Settings.Located("uds-owner", err), p.CheckCertificates(conf, log),
		p.Settings.Located("error-log", logError(plan.MayLog(conf, conf.ErrorLog, "error log")))}
	if err == nil {
		wrong = append(wrong, p.Settings.Located("bind", worker.MayListen(addrs, options, isOwn(p))))
	}
	if conf.PidFile != "" {
		name, _ := filepath.Abs(conf.PidFile)
		if err := process.MayWritePIDFile(name, isOwn(p)); err != nil {
			wrong = append(wrong, p.Settings.Located("pid", process.ExitNotStarted("%v", err)))
		}
	}
	return settings.JoinPath(wrong...)
}

// checkWorkerFiles does the same as checkFiles for the files that the user of the workers creates.
func checkWorkerFiles(p *plan.Plan, conf *settings.Config) error {
	wrong := []error{p.Settings.Located("access-log", logError(plan.MayLog(conf, conf.AccessLog, "access log")))}
	if name := conf.ControlSocket; name != ctl.Auto && name != ctl.Off {
		if err := ctl.MayListen(name, p.Place()); err != nil {
			wrong = append(wrong, process.ExitNotStarted("cannot create the control socket (%s): %v",
				p.Settings.Source("ctl-socket"), err))
		}
	}
	return settings.JoinPath(wrong...)
}

func logError(err error) error {
	if err == nil {
		return nil
	}
	return process.ExitNotStarted("cannot write the %v", err)
}

// isOwn returns a function that reports whether a process is the server that this plan describes, which keeps its
// addresses and its pid file at a reload.
func isOwn(p *plan.Plan) func(pid int) bool {
	return func(pid int) bool {
		return worker.ChecksReload() && pid == os.Getppid() || ctl.Serves(pid, p.Place(), p.Conf.ControlSocket)
	}
}

// judge checks the settings, the site and the loaded applications, and prints the result or, with --print-config, the
// settings.
func judge(p *plan.Plan, app *pybridge.Contents, stdout io.Writer, log func(logfile.Level, string)) (err error) {
	conf := p.Conf
	if app != nil {
		if conf, err = p.ReadScript(app); err != nil {
			conf = p.Conf // the settings without the globals of the script
		}
	}
	if p.Command.Word == settings.WordPrintConfig && err == nil {
		if err := p.Settings.WriteConfig(stdout); err != nil {
			return err
		}
		return p.Site.Write(stdout, &conf)
	}
	system.Distrust(p.Changeable(&conf, worker.Uploads(app)...))
	wrong := []error{err, p.CheckOutside(&conf, app), p.Check(&conf, app, log), checkWorkerFiles(p, &conf)}
	addrs := conf.Bind
	if checksChild() {
		addrs = nil
	}
	if !p.KeysRead {
		wrong = append(wrong, checkFiles(p, &conf, addrs, log))
	}
	if err := settings.JoinPath(wrong...); err != nil {
		return process.ExitFrom(err)
	}
	if line := worker.SpoolWarning(&conf); line != "" {
		log(logfile.Warning, line)
	}
	name, python := p.Site.Describe(&conf), "without Python"
	if app != nil {
		name, python = p.Command.ScriptName(), fmt.Sprintf("Python %s, %s", pybridge.Version(), worker.BannerMode(&conf))
		if err := app.Forkable(); conf.Fork && err != nil {
			return process.ExitNotStarted("%s: %v", name, err)
		}
	}
	if p.File != nil {
		name = p.File.Name
	}
	verdict := "fine"
	if n := warnings.Load(); n > 0 {
		verdict = "usable, with " + pool.Count(int(n), "warning")
	}
	summary := p.DescribeWithCounts(app, &conf)
	if len(addrs) > 0 {
		summary += ", for " + strings.Join(addrs, ", ")
	}
	_, err = fmt.Fprintf(stdout, "%s is %s: %s (%s)\n", name, verdict, summary, python)
	return err
}
