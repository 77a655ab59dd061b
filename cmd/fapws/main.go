// Fapws serves a Python application over HTTP: the PATHS of a script, or any
// WSGI application. This package is wiring: package settings reads the command
// line, pybridge loads the application, runtime serves.
package main

import (
	"fmt"
	"io"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/bind"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/notify"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/presence"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/site"
	"fapws/cmd/fapws/version"
	"fapws/pybridge"
	"fapws/runtime"
)

// The main goroutine stays on the main thread of the process: Python's main
// thread is the one that starts it, and scripts expect to be run on it.
func init() { goruntime.LockOSThread() }

func main() {
	memory.UseLittle()
	code, err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		code = exit.Report(os.Stderr, err)
	}
	os.Exit(code)
}

func run(args []string, stdout, stderr io.Writer) (code int, err error) {
	forks := isForkServer()
	parent, err := takeParent()
	if err != nil {
		return 0, err
	}
	rows := settings.Table(settings.Machine{OpenFiles: openFiles()})
	cmd, err := settings.ParseCommand(rows, args)
	if err != nil {
		return 0, exit.Usage(err)
	}
	switch cmd.Word {
	case settings.WordHelp:
		settings.WriteHelp(stdout, rows, cmd.Topic == "all")
		return exit.OK, nil
	case settings.WordVersion:
		fmt.Fprintf(stdout, "fapws %s (Python %s, %s)\n", version.Version, pybridge.Version(), goruntime.Version())
		return exit.OK, nil
	case settings.WordInternal:
		settings.WriteInternal(stdout, cmd.Topic, version.Version, site.KeyDocs)
		return exit.OK, nil
	case settings.WordHash:
		return exit.OK, hashPassword(cmd.Args, os.Stdin, stdout, stderr)
	case settings.WordImport:
		return exit.OK, importConf(cmd.Args, stdout, stderr)
	case settings.WordCtl:
		return exit.OK, speak(cmd.Args, stdout)
	}
	set, err := settings.New(rows, cmd.Flags, os.LookupEnv)
	if err != nil {
		return 0, exit.Usage(err)
	}
	started, err := whereStarted()
	if err != nil {
		return 0, exit.NotStarted("%v", err)
	}
	plan, doubts, err := plan.Make(cmd, set)
	if err != nil {
		return 0, err
	}
	early := plan.Conf
	if parent == nil {
		warnOf(append(settings.UnknownVariables(rows, os.Environ(), pool.Variables...), doubts...), cmd.Word, &early, stderr)
	}
	switch cmd.Word {
	case settings.WordCheck, settings.WordRoutes, settings.WordShell, settings.WordPrintConfig:
		return inspect(plan, stdout, stderr)
	}
	if early.Umask >= 0 {
		unix.Umask(early.Umask)
	}
	if forks {
		return (&service{plan: plan, stderr: stderr}).serveForks()
	}
	if parent != nil {
		s := &service{plan: plan, stderr: stderr, front: &presence.Presence{}, parent: parent, started: started}
		if parent.stderr < 0 { // else the supervisor hears what this process writes, and logs it
			s.errors.OpenAsWorker(&early)
		}
		if parent.standIn {
			return s.standIn()
		}
		code, err := s.run()
		parent.failing(err)
		return code, err
	}
	warning, err := judgeRoot(&early)
	if err != nil {
		return 0, err
	}
	f := &presence.Presence{Passed: bind.TakePassed(), Notifier: notify.Take(), PidPath: early.PidFile, Warning: warning}
	if supervised(set, &early) {
		v := &overseer{plan: plan, conf: early, stderr: stderr, front: f}
		if err := v.findIdentity(); err != nil {
			return 0, err
		}
		if v.identity != nil {
			logs.Give(v.logNames(), v.identity.Credential(), logs.New(stderr, early.LogLevel, early.LoopDebug))
		}
		if err := v.errors.Open(&early, v.followers); err != nil {
			return 0, err
		}
		if code, err = v.run(started); err != nil {
			return v.errors.Report(stderr, err), nil
		}
		return code, nil
	}
	s := &service{plan: plan, stderr: stderr, front: f, started: started}
	if err := s.errors.Open(&early, s.followErrors); err != nil {
		return 0, err
	}
	if code, err = s.run(); err != nil {
		return s.errors.Report(stderr, err), nil
	}
	return code, nil
}

// warnOf writes what is doubtful about the command line and its surroundings.
func warnOf(doubts []string, word settings.Word, conf *settings.Config, stderr io.Writer) {
	log := logs.New(stderr, conf.LogLevel, conf.LoopDebug)
	for _, line := range doubts {
		if word == settings.WordRun {
			log.Log(runtime.LevelWarning, line)
		} else {
			fmt.Fprintln(stderr, "fapws:", line)
		}
	}
}

// openFiles returns how many files this process may have open. Go's start-up
// has raised the soft limit to the hard one.
func openFiles() uint64 {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 0
	}
	return lim.Cur
}
