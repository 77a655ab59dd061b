package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"slices"
	"syscall"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/keyreader"
	"fapws/cmd/fapws/loadgen"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/sandbox"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/site"
	"fapws/cmd/fapws/tomlfile"
	"fapws/cmd/fapws/version"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime/logfile"
)

// Run runs the command of args, the command line without the name of the program, and
// returns the exit code. An error has its own, see exit.Report.
func Run(args []string, stdin *os.File, stdout, stderr io.Writer) (code int, err error) {
	if python := process.Interpreter(); python != "" {
		pybridge.RunIn(python, process.File())
	}
	if keyreader.Wanted() {
		return exit.OK, keyreader.Run()
	}
	loaderFD, loader := worker.TakeLoader()
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
		return help(rows, settings.Word(cmd.Topic), stdin, stdout, stderr)
	case settings.WordVersion:
		fmt.Fprintf(stdout, "fapws %s (Python %s, %s)\n", version.Version, pybridge.Version(), goruntime.Version())
		return exit.OK, nil
	case settings.WordInternal:
		settings.WriteInternal(stdout, cmd.Topic, version.Version, site.KeyDocs)
		return exit.OK, nil
	case settings.WordHash:
		return exit.OK, hashPassword(cmd.Args, stdin, stdout, stderr)
	case settings.WordUser:
		return exit.OK, user(cmd.Args, stdin, stdout, stderr)
	case settings.WordImport:
		return exit.OK, importConf(cmd.Args, stdout, stderr)
	case settings.WordCtl:
		return exit.OK, control(cmd.Args, stdout)
	case settings.WordBench:
		return bench(cmd.Args, stdout)
	}
	set, err := settings.New(rows, cmd.Flags, os.LookupEnv)
	if err != nil {
		return 0, exit.Usage(err)
	}
	foreign := set.TakeForeign(os.Environ())
	p, doubts, err := plan.Make(cmd, set)
	if err != nil {
		parent.Failing(err)
		return 0, err
	}
	if parent == nil && !loader { // the process that has started them has warned
		doubts = slices.Concat(foreign, doubts, p.ForeignGlobals())
		warn(append(settings.UnknownVariables(rows, os.Environ(), append(pool.Variables, sandbox.Variable)...), doubts...), p, stderr)
	}
	if cmd.Word == settings.WordCheck && os.Getenv(sandbox.Variable) != "" {
		return rehearse(p, stdout, stderr)
	}
	if cmd.Word != settings.WordRun {
		code, err := inspect(p, stdout, stderr)
		if cmd.Word == settings.WordCheck && code == exit.OK && err == nil && p.Conf.Sandbox != settings.SandboxModes[0] {
			return rehearse(p, stdout, stderr)
		}
		return code, err
	}
	prepareProcess(p)
	switch {
	case loader:
		return worker.RunLoader(p, loaderFD, stderr)
	case parent != nil:
		return parent.Run(p, stderr)
	}
	return serve(p, stderr)
}

// help writes the help of a command, or the general one.
func help(rows []*settings.Setting, topic settings.Word, stdin *os.File, stdout, stderr io.Writer) (code int, err error) {
	switch topic {
	case settings.WordCtl, settings.WordBench, settings.WordImport, settings.WordHash, settings.WordUser:
		return Run([]string{string(topic), "--help"}, stdin, stdout, stderr)
	}
	if !settings.WriteWordHelp(stdout, topic) {
		settings.WriteHelp(stdout, rows, topic == "all")
	}
	return exit.OK, nil
}

// warn writes lines about settings that are probably not meant.
func warn(doubts []string, p *plan.Plan, stderr io.Writer) {
	log := logs.New(stderr, p.Conf.LogLevel, p.Conf.LoopDebug)
	for _, line := range doubts {
		if p.Command.Word == settings.WordRun {
			log.Log(logfile.Warning, line)
		} else {
			fmt.Fprintln(stderr, "fapws:", line)
		}
	}
}

// bench is "fapws bench". It returns exit.Failed if a request has failed, or a response has an error status.
func bench(args []string, stdout io.Writer) (code int, err error) {
	o, err := loadgen.ParseArgs(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exit.OK, nil
	case err != nil:
		return 0, exit.Usage(fmt.Errorf("bench: %w", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := loadgen.Run(ctx, o)
	if err != nil {
		return 0, &exit.Error{Code: exit.Failed, Text: "bench: " + exit.Plain(err).Error()}
	}
	if o.JSON {
		err = r.WriteJSON(stdout)
	} else {
		r.WriteText(stdout)
	}
	if r.Failed() {
		return exit.Failed, err
	}
	return exit.OK, err
}

// control is "fapws ctl".
func control(args []string, stdout io.Writer) error {
	err := ctl.Run(args, stdout, tomlfile.Nearest)
	var wrong *ctl.UsageError
	if errors.As(err, &wrong) {
		return exit.Usage(err)
	}
	return err
}
