package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/conn"
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
		fmt.Fprintln(stderr, "fapws: sandbox: this system cannot restrict", without)
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

// printTo returns a function that prints lines of a command, which need no time and level.
func printTo(stderr io.Writer) func(logfile.Level, string) {
	return func(_ logfile.Level, line string) { fmt.Fprintln(stderr, "fapws:", line) }
}

// inspect runs a command that loads an application without serving it, or --print-config.
func inspect(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	log := printTo(stderr)
	warn := func(line string) { log(logfile.Warning, line) }
	wrong := p.Mistakes
	if wrong == nil {
		wrong = p.Find()
	}
	if wrong != nil {
		// Check may find further mistakes, although the applications are not loaded.
		others := p.Check(&p.Conf, nil, log)
		if f, ok := errors.AsType[*process.ExitError](wrong); ok && others == nil {
			return 0, &process.ExitError{Code: f.Code, Text: wrong.Error()}
		}
		return 0, process.ExitUsage(settings.JoinPath(wrong, others))
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
	tool := map[settings.Word]string{settings.WordRoutes: "_routes", settings.WordShell: "_shell"}[p.Command.Word]
	if err := show(p, &app.Contents, stdout, log); err != nil {
		code = process.ExitReport(stderr, err)
	} else if tool != "" {
		code = app.Tool(tool)
	}
	closing := process.ExitAfterClosingTime(time.Time{}, code, warn)
	defer closing.Stop() // this process continues after "check --sandbox"
	return max(code, app.Close()), nil
}

// contents is nil if there is no application.
func show(p *plan.Plan, contents *pybridge.Contents, stdout io.Writer, log func(logfile.Level, string)) error {
	switch {
	case p.Command.Word == settings.WordShell && contents == nil:
		return process.ExitUsage(errors.New("shell: no application to load"))
	case p.Command.Word == settings.WordShell:
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

func checkOutside(p *plan.Plan, conf *settings.Config, log func(logfile.Level, string)) error {
	err := confine.CheckIdentity(conf.User, conf.Group)
	if err == nil && conf.Chroot != "" {
		_, err = confine.FindChroot(conf.Chroot)
	}
	if err == nil {
		_, err = worker.ListenOptions(conf)
	}
	if err != nil {
		return process.ExitUsage(err)
	}
	var files []made
	if !p.KeysRead {
		files = madeAtStart(conf)
	}
	for _, name := range p.Site.LogFiles(conf) {
		if name != conf.ErrorLog {
			files = append(files, made{name, mayLog(name, conf.User != ""), func(err error) error {
				if name == conf.AccessLog {
					return cannotLog(name, err)
				}
				return process.ExitUsage(fmt.Errorf("cannot write the log %s: %w", name, err))
			}})
		}
	}
	if name := conf.ControlSocket; name != ctl.Auto && name != ctl.Off {
		files = append(files, made{name, conn.MayListen(name), func(err error) error {
			return process.ExitNotStarted("cannot create the control socket (%s): %s: %v",
				p.Settings.Source("ctl-socket"), name, err)
		}})
	}
	return checkFiles(p, conf, files, log)
}

type made struct {
	name string
	err  error // error of creating the file; nil if the user of this process may create it
	// failure returns the error that would end the start of the server
	failure func(err error) error
}

// madeAtStart returns the files that a server started by root creates before it changes its user.
func madeAtStart(conf *settings.Config) (files []made) {
	if name := conf.ErrorLog; name != "" && name != "-" {
		files = append(files, made{name, mayLog(name, false), func(err error) error { return cannotLog(name, err) }})
	}
	if name := conf.PidFile; name != "" {
		files = append(files, made{name, process.MayWritePIDFile(name), func(err error) error {
			return process.ExitNotStarted("%v", err)
		}})
	}
	for _, addr := range conf.Bind {
		if name, ok := strings.CutPrefix(addr, "unix:"); ok {
			files = append(files, made{name, conn.MayListen(name), func(err error) error {
				return worker.BindFailed(addr, nil, fmt.Errorf("cannot listen on %s: %w", addr, err))
			}})
		}
	}
	return files
}

func cannotLog(name string, err error) error {
	return process.ExitNotStarted("cannot write the log %s: %v", name, err)
}

// checkFiles returns the first error in files, or a mistake in the certificates. If this process cannot become the
// server's user, errors in files are ignored, because this process cannot check the permissions of that user. For a
// missing directory, checkFiles only logs a warning, because a service manager may create the directory.
func checkFiles(p *plan.Plan, conf *settings.Config, files []made, log func(logfile.Level, string)) (first error) {
	mine := confine.MayBecome(conf.User, conf.Group)
	for _, f := range files {
		switch {
		case errors.Is(f.err, fs.ErrNotExist):
			log(logfile.Warning, fmt.Sprintf("%s: its directory does not exist, and the server does not start "+
				"without it", f.name))
		case f.err != nil && mine && first == nil:
			first = f.failure(f.err)
		}
	}
	if first != nil {
		return first
	}
	return p.CheckCertificates(conf, log)
}

// mayLog returns an error if the user of this process may not write a log. If given is true, root creates the logs in
// root's own directories and makes this user their owner, so this user need not be able to create files there.
func mayLog(name string, given bool) error {
	dir := filepath.Dir(name)
	var st unix.Stat_t
	_ = unix.Stat(dir, &st)
	if file, err := os.Stat(name); err == nil && file.IsDir() {
		return unix.EISDIR
	}
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS)
	if err == nil && !(given && st.Uid == 0) {
		if err = unix.Faccessat(unix.AT_FDCWD, name, unix.W_OK, unix.AT_EACCESS); err == unix.ENOENT {
			err = system.MayCreate(name)
		}
	}
	return err
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
	if err := settings.JoinPath(err, p.Check(&conf, app, log)); err != nil {
		return process.ExitFrom(err)
	}
	if err := checkOutside(p, &conf, log); err != nil {
		return err
	}
	name, python := p.Site.What(&conf), "without Python"
	if app != nil {
		name, python = p.Command.ScriptName(), fmt.Sprintf("Python %s, %s", pybridge.Version(), worker.BannerMode(&conf))
		if err := app.Forkable(); conf.Fork && err != nil {
			return process.ExitNotStarted("%s: %v", name, err)
		}
		for _, line := range app.Hidden() {
			log(logfile.Warning, line)
		}
	}
	if p.File != nil {
		name = p.File.Name
	}
	_, err = fmt.Fprintf(stdout, "%s is fine: %s, for %s (%s)\n", name, p.Counted(app, &conf),
		strings.Join(conf.Bind, ", "), python)
	return err
}
