// Fapws serves Python applications over HTTP: WSGI and ASGI applications, and scripts that define PATHS.
//
// Package main reads the command line and runs its command. It implements help, version, import, check, routes, shell,
// user, hash-password, new, bundle and systemd-unit; packages ctl, supervisor and worker implement the other commands.
// Start reading at run, which also chooses between a single process and a supervisor.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine" // also checks the limits of the system before main
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/supervisor"
	"fapws/cmd/fapws/worker"
	"fapws/docs"
	"fapws/pybridge"
	"fapws/runtime/logfile"
)

func main() {
	code, err := run(process.Arguments(), false, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		code = process.ExitReport(os.Stderr, err)
	}
	os.Exit(code)
}

// run runs a command line without the name of the program, on the main thread, and returns the exit code
// (process.ExitReport). asWorker is true if root has read the certificates for "check" and this process now runs as the
// user of the workers.
func run(args []string, asWorker bool, stdin *os.File, stdout, stderr io.Writer) (code int, err error) {
	pybridge.RunFrom(process.Interpreter())
	if supervisor.KeyReaderWanted() {
		return process.OK, supervisor.RunKeyReader()
	}
	if supervisor.StarterWanted() {
		return process.OK, supervisor.RunStarter()
	}
	own, err := openBundle()
	if err != nil {
		return 0, err
	}
	if own != nil || pybridge.HasLibrary() {
		if cache, python, wanted := asPython(args); wanted {
			if own != nil {
				if _, err := useBundle(own, cache); err != nil {
					return 0, err
				}
			}
			return pybridge.RunPython(python)
		}
	}
	loaderFD, loader := worker.TakeLoader()
	parent, err := worker.TakeParent()
	if err != nil {
		return 0, err
	}
	cmd, err := settings.ParseCommand(args, plan.KeyDocs)
	if err != nil {
		return 0, process.ExitUsage(err)
	}
	if code, done, err := runWithoutSettings(cmd, stdin, stdout, stderr); done {
		return code, err
	}
	var bundling *bundleOptions
	if cmd.Word == settings.WordBundle {
		if bundling, cmd, err = startBundle(args, cmd.Args, stdout); err != nil || cmd == nil {
			return process.OK, err
		}
	}
	if cmd.Word == settings.WordRun && worker.ChecksReload() {
		cmd.Word = settings.WordCheck
	}
	set, err := settings.New(cmd.Flags, os.LookupEnv)
	if err != nil {
		return 0, process.ExitUsage(err)
	}
	if name, wanted := plan.TakeGunicorn(); wanted {
		return process.OK, plan.WriteGunicorn(set, name)
	}
	set.TakeKept(os.Getenv(settings.KeptVariable))
	os.Unsetenv(settings.KeptVariable)
	foreign := set.TakeForeign(os.Environ())
	if own != nil {
		folder, err := useBundle(own, set.CacheDir())
		if err != nil {
			return 0, err
		}
		set.TakeBundle(filepath.Join(folder, "fapws.toml"), filepath.Dir(filepath.Dir(folder)))
	}
	p, doubts, err := plan.Make(cmd, set)
	if err != nil {
		parent.Failing(err)
		return 0, err
	}
	p.KeysRead = asWorker
	isFirst := parent == nil && !loader && !asWorker && os.Getenv(confine.SandboxVariable) == ""
	if isFirst && (cmd.Word == settings.WordRun || cmd.Word == settings.WordCheck) {
		p.Mistakes = settings.JoinPath(p.Mistakes, checkNamed(p))
	}
	if isFirst && cmd.Word == settings.WordCheck && p.Mistakes == nil {
		if becameWorker, err := checkAsSupervisor(p, stderr); err != nil {
			return 0, err
		} else if becameWorker {
			return run(args, true, stdin, stdout, stderr)
		}
	}
	if parent == nil && !loader {
		doubts = slices.Concat(foreign, doubts, p.ForeignGlobals())
		if cmd.Word == settings.WordCheck {
			doubts = append(doubts, rootDoubts(&p.Conf)...)
		}
		warn(slices.Concat(process.ZoneDoubts, settings.UnknownVariables(os.Environ()), doubts), p, stderr)
	}
	if p.Mistakes != nil {
		err := mistakes(p, p.Mistakes, isFirst, logOf(p, stderr))
		parent.Failing(err)
		return 0, err
	}
	if bundling != nil {
		return bundling.write(p, stdout, stderr)
	}
	if cmd.Word != settings.WordRun {
		return runOnPlan(p, args, stdout, stderr)
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

// runWithoutSettings runs a command that needs no settings. done is false if cmd is another command.
func runWithoutSettings(cmd *settings.CommandLine, stdin *os.File, stdout, stderr io.Writer) (code int, done bool, err error) {
	switch cmd.Word {
	case settings.WordHelp:
		code, err = help(cmd.Topic, stdout)
	case settings.WordVersion:
		fmt.Fprintf(stdout, "fapws %s (Python %s, %s)\n", process.Version, pybridge.Version(), runtime.Version())
	case settings.WordInternal:
		settings.WriteInternal(stdout, cmd.Topic, process.Version, plan.KeyDocs(), ctl.Help(""))
	case settings.WordHash:
		err = hashPassword(cmd.Args, stdin, stdout, stderr)
	case settings.WordNew:
		err = newSample(cmd.Args, stdout)
	case settings.WordUser:
		err = user(cmd.Args, stdin, stdout, stderr)
	case settings.WordImport:
		err = importConf(cmd.Args, stdout, stderr)
	case settings.WordCtl:
		err = ctl.Run(cmd.Args, stdout)
	default:
		return process.OK, false, nil
	}
	return code, true, err
}

// checkAsSupervisor checks what the server does before its workers start, as its own user. If the workers have another
// user, the process then becomes that user. An error contains all mistakes of the plan.
func checkAsSupervisor(p *plan.Plan, stderr io.Writer) (becameWorker bool, err error) {
	other := ofAnotherUser(&p.Conf)
	if err = checkOutside(p, printTo(stderr)); err == nil && other {
		err = supervisor.BecomeWorker(p)
	}
	if err == nil {
		return other, nil
	}
	others := p.Check(&p.Conf, nil, printTo(stderr))
	if !ofAnotherUser(&p.Conf) {
		others = settings.JoinPath(others, checkWorkerFiles(p, &p.Conf))
	}
	return false, joinMistakes(process.ExitFrom(err), others)
}

// runOnPlan runs a command that reads the plan of a server but does not serve, such as check.
func runOnPlan(p *plan.Plan, args []string, stdout, stderr io.Writer) (code int, err error) {
	check := p.Command.Word == settings.WordCheck
	switch {
	case check && os.Getenv(confine.SandboxVariable) != "":
		return checkSandbox(p, stdout, stderr)
	case p.Command.Word == settings.WordUnit:
		if err := p.Find(); err != nil {
			return 0, err
		}
		return process.OK, writeUnit(p, args, stdout, stderr)
	case worker.ChecksReload() && p.Conf.ReloadTarget() != "":
		return worker.CheckReload(p, stderr)
	}
	code, err = inspect(p, stdout, stderr, nil)
	if !check || code != process.OK || err != nil {
		return code, err
	}
	if code := checkChildren(p, stderr); code != process.OK {
		return code, nil
	}
	if p.Conf.Sandboxed() {
		return checkSandbox(p, stdout, stderr)
	}
	return code, nil
}

func ofAnotherUser(conf *settings.Config) bool {
	if os.Geteuid() != 0 || conf.User == "" && conf.Group == "" {
		return false
	}
	id, err := confine.LookupIdentity(conf.User, conf.Group)
	return err == nil && id.UID != 0
}

// help prints the help text of a command, and a page of the documentation.
func help(topic string, stdout io.Writer) (code int, err error) {
	text, page := settings.CommandHelp(settings.Word(topic)), docs.Page(topic)
	if word, command, found := strings.Cut(topic, " "); settings.Word(word) == settings.WordCtl {
		if err := ctl.Command(command).Check(); found && err != nil {
			return 0, process.ExitUsage(err)
		}
		text = ctl.Help(ctl.Command(command))
	}
	if text != "" && page != "" {
		text += "\n"
	}
	switch {
	case topic == "topics":
		for _, name := range docs.Topics() {
			fmt.Fprintf(stdout, "%-18s%s\n", name, docs.Title(name))
		}
	case text != "" || page != "":
		_, err = io.WriteString(stdout, text+docs.Render(page, columns(stdout)))
	case topic == "" || topic == "all" || settings.IsWord(topic):
		settings.WriteHelp(stdout, topic == "all")
	default:
		sections, pages := docs.About(topic)
		if len(pages) > 0 {
			pages = pages[:min(len(pages), 5)]
			_, err = io.WriteString(stdout, docs.Render(sections, columns(stdout))+docs.Render(fmt.Sprintf(
				"%s is on: fapws help %s\n", topic, strings.Join(pages, ", fapws help ")), columns(stdout)))
			break
		}
		hint := "; fapws help topics lists the pages"
		if near := settings.Nearest(topic, slices.Concat(docs.Topics(), settings.Names(), docs.Words())); near != "" {
			hint = ", did you mean " + near + "?"
		}
		return 0, process.ExitUsage(fmt.Errorf("help: there is no topic %q%s", topic, hint))
	}
	return process.OK, err
}

// columns returns the width of the terminal to which w writes, otherwise 80.
func columns(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

func logOf(p *plan.Plan, stderr io.Writer) func(logfile.Level, string) {
	if p.Command.Word == settings.WordRun {
		return plan.NewLogger(stderr, &p.Conf).Log
	}
	return printTo(stderr)
}

func warn(doubts []string, p *plan.Plan, stderr io.Writer) {
	log := logOf(p, stderr)
	for _, line := range doubts {
		log(logfile.Warning, line)
	}
}

func prepareProcess(p *plan.Plan) {
	if p.Conf.Umask >= 0 {
		unix.Umask(p.Conf.Umask)
	}
	if p.Conf.Name != "" {
		_ = os.WriteFile("/proc/self/comm", []byte(p.Conf.Name), 0) // fails on a system without /proc
	}
	// As in python3, writing to a closed pipe or beyond RLIMIT_FSIZE becomes an error that handlers can catch.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
}

func serve(p *plan.Plan, stderr io.Writer) (code int, err error) {
	if _, err := os.Stat("/proc/self"); err != nil {
		return 0, process.ExitNotStarted("/proc is missing, as in a new chroot; mount it: mount -t proc proc /proc")
	}
	warning, err := judgeRoot(&p.Conf)
	if err != nil {
		return 0, err
	}
	instance := &worker.Instance{Passed: worker.TakePassed(), Notifier: process.TakeNotifier(), Warning: warning}
	if instance.Left, err = worker.TakeLeft(); err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	if p.Conf.PidFile != "" {
		instance.PidPath, _ = filepath.Abs(p.Conf.PidFile) // plan.Make has checked the directory
	}
	if pool.Upgraded() || isSupervised(p.Settings, &p.Conf, len(p.Site.Children) > 0) { // after an upgrade, the settings may differ
		return supervisor.Run(p, instance, stderr)
	}
	return worker.RunAlone(p, instance, stderr)
}

// isSupervised reports whether the settings, or applications with processes of their own (children), require workers
// under a supervisor. Process 1 of a container must reap all
// orphans, and only a supervisor can distinguish orphans from children of the application.
func isSupervised(set *settings.Settings, conf *settings.Config, children bool) bool {
	return set.Source("workers").Level > settings.FromDefault || conf.Reload || conf.Dev ||
		conf.Channels != "" || conf.IdleStop > 0 || conf.Fork || conf.MaxRequests > 0 || conf.MaxRSS > 0 ||
		conf.User != "" || conf.Group != "" || conf.Chroot != "" || conf.Sandboxed() || os.Getpid() == 1 || children
}

var errRoot = errors.New("refusing to run as root: choose a user with --user NAME, or pass --allow-root " +
	"(FAPWS_ALLOW_ROOT=1)")

// judgeRoot returns an error if the server would stay root without --allow-root, but only a warning in a container or
// if the system has no other user.
func judgeRoot(conf *settings.Config) (warning string, err error) {
	if os.Geteuid() != 0 || conf.AllowRoot {
		return "", nil
	}
	if conf.User != "" {
		// the supervisor reports the error
		if id, err := confine.LookupIdentity(conf.User, conf.Group); err != nil || id.UID != 0 {
			return "", nil
		}
	}
	reason := confine.RootReason()
	if reason == "" {
		return "", process.ExitUsage(errRoot)
	}
	return "running as root, because " + reason +
		"; choose another user with --user NAME, or silence this with --allow-root", nil
}
