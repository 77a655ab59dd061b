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

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/supervisor"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime/logfile"
)

// Run runs the command of args, the command line without the name of the program, and
// returns the exit code. An error has its own, see process.ExitReport.
func Run(args []string, stdin *os.File, stdout, stderr io.Writer) (code int, err error) {
	if python := process.Interpreter(); python != "" {
		pybridge.RunIn(python, process.File())
	}
	if supervisor.KeyReaderWanted() {
		return process.OK, supervisor.RunKeyReader()
	}
	loaderFD, loader := worker.TakeLoader()
	parent, err := worker.TakeParent()
	if err != nil {
		return 0, err
	}
	rows := settings.Table(settings.ThisMachine())
	cmd, err := settings.ParseCommand(rows, args)
	if err != nil {
		return 0, process.ExitUsage(err)
	}
	switch cmd.Word {
	case settings.WordHelp:
		return help(rows, settings.Word(cmd.Topic), stdin, stdout, stderr)
	case settings.WordVersion:
		fmt.Fprintf(stdout, "fapws %s (Python %s, %s)\n", process.Version, pybridge.Version(), goruntime.Version())
		return process.OK, nil
	case settings.WordInternal:
		settings.WriteInternal(stdout, cmd.Topic, process.Version, plan.KeyDocs)
		return process.OK, nil
	case settings.WordHash:
		return process.OK, hashPassword(cmd.Args, stdin, stdout, stderr)
	case settings.WordUser:
		return process.OK, user(cmd.Args, stdin, stdout, stderr)
	case settings.WordImport:
		return process.OK, importConf(cmd.Args, stdout, stderr)
	case settings.WordCtl:
		return process.OK, control(cmd.Args, stdout)
	case settings.WordBench:
		return bench(cmd.Args, stdout)
	}
	set, err := settings.New(rows, cmd.Flags, os.LookupEnv)
	if err != nil {
		return 0, process.ExitUsage(err)
	}
	foreign := set.TakeForeign(os.Environ())
	p, doubts, err := plan.Make(cmd, set)
	if err != nil {
		parent.Failing(err)
		return 0, err
	}
	if parent == nil && !loader { // the process that has started them has warned
		doubts = slices.Concat(foreign, doubts, p.ForeignGlobals())
		warn(append(settings.UnknownVariables(rows, os.Environ(), append(pool.Variables, confine.SandboxVariable)...), doubts...), p, stderr)
	}
	if cmd.Word == settings.WordCheck && os.Getenv(confine.SandboxVariable) != "" {
		return rehearse(p, stdout, stderr)
	}
	if cmd.Word != settings.WordRun {
		code, err := inspect(p, stdout, stderr)
		if cmd.Word == settings.WordCheck && code == process.OK && err == nil && p.Conf.Sandbox != settings.SandboxModes[0] {
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
	return process.OK, nil
}

// warn writes lines about settings that are probably not meant.
func warn(doubts []string, p *plan.Plan, stderr io.Writer) {
	log := plan.NewLogs(stderr, p.Conf.LogLevel, p.Conf.LoopDebug)
	for _, line := range doubts {
		if p.Command.Word == settings.WordRun {
			log.Log(logfile.Warning, line)
		} else {
			fmt.Fprintln(stderr, "fapws:", line)
		}
	}
}

// bench is "fapws bench". It returns process.Failed if a request has failed, or a response has an error status.
func bench(args []string, stdout io.Writer) (code int, err error) {
	o, err := ctl.ParseBenchArgs(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return process.OK, nil
	case err != nil:
		return 0, process.ExitUsage(fmt.Errorf("bench: %w", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := ctl.RunBench(ctx, o)
	if err != nil {
		return 0, &process.ExitError{Code: process.Failed, Text: "bench: " + process.ExitPlain(err).Error()}
	}
	if o.JSON {
		err = r.WriteJSON(stdout)
	} else {
		r.WriteText(stdout)
	}
	if r.Failed() {
		return process.Failed, err
	}
	return process.OK, err
}

// control is "fapws ctl".
func control(args []string, stdout io.Writer) error {
	err := ctl.Run(args, stdout, settings.Nearest)
	var wrong *ctl.UsageError
	if errors.As(err, &wrong) {
		return process.ExitUsage(err)
	}
	return err
}
