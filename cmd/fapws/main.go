// Fapws serves a Python application over HTTP: the PATHS of a script, or any
// WSGI application. This package is wiring: package settings reads the command
// line, pybridge loads the application, runtime serves.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"syscall"

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
	"fapws/cmd/fapws/supervisor"
	"fapws/cmd/fapws/version"
	"fapws/cmd/fapws/worker"
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
	forks := worker.IsForkServer()
	parent, err := worker.TakeParent()
	if err != nil {
		return 0, err
	}
	rows := settings.Table(settings.ThisMachine())
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
	// As python3 does, so that writing to a closed pipe, or beyond RLIMIT_FSIZE, is an error
	// that handlers can catch.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	switch {
	case forks:
		return worker.RunForkServer(plan, stderr)
	case parent != nil:
		return parent.Run(plan, stderr)
	}
	warning, err := judgeRoot(&early)
	if err != nil {
		return 0, err
	}
	f := &presence.Presence{Passed: bind.TakePassed(), Notifier: notify.Take(), PidPath: early.PidFile, Warning: warning}
	if supervised(set, &early) {
		return supervisor.Run(plan, f, stderr)
	}
	return worker.RunAlone(plan, f, stderr)
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
