package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/bench"
	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/supervisor"
	"fapws/cmd/fapws/worker"
	"fapws/docs"
	"fapws/pybridge"
	"fapws/runtime/auth"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Run runs a command line and returns the exit code (process.ExitReport). args does not contain the name of the
// program.
func Run(args []string, stdin *os.File, stdout, stderr io.Writer) (code int, err error) {
	return run(args, false, stdin, stdout, stderr)
}

// run implements Run. asWorker is true if root has read the certificates for "check" and this process now runs as the
// user of the workers.
func run(args []string, asWorker bool, stdin *os.File, stdout, stderr io.Writer) (code int, err error) {
	pybridge.RunFrom(process.File(), process.Interpreter())
	if supervisor.KeyReaderWanted() {
		return process.OK, supervisor.RunKeyReader()
	}
	loaderFD, loader := worker.TakeLoader()
	parent, err := worker.TakeParent()
	if err != nil {
		return 0, err
	}
	cmd, err := settings.ParseCommand(args)
	if err != nil {
		return 0, process.ExitUsage(err)
	}
	switch cmd.Word {
	case settings.WordHelp:
		return help(cmd.Topic, stdout)
	case settings.WordVersion:
		fmt.Fprintf(stdout, "fapws %s (Python %s, %s)\n", process.Version, pybridge.Version(), goruntime.Version())
		return process.OK, nil
	case settings.WordInternal:
		settings.WriteInternal(stdout, cmd.Topic, process.Version, plan.KeyDocs(), ctl.Help(""), bench.Help())
		return process.OK, nil
	case settings.WordHash:
		return process.OK, hashPassword(cmd.Args, stdin, stdout, stderr)
	case settings.WordNew:
		return process.OK, newSample(cmd.Args, stdout)
	case settings.WordUser:
		return process.OK, user(cmd.Args, stdin, stdout, stderr)
	case settings.WordImport:
		return process.OK, importConf(cmd.Args, stdout, stderr)
	case settings.WordCtl:
		return process.OK, ctl.Run(cmd.Args, stdout)
	case settings.WordBench:
		return runBench(cmd.Args, stdout)
	}
	set, err := settings.New(cmd.Flags, os.LookupEnv)
	if err != nil {
		return 0, process.ExitUsage(err)
	}
	set.TakeKept(os.Getenv(settings.KeptVariable))
	os.Unsetenv(settings.KeptVariable)
	foreign := set.TakeForeign(os.Environ())
	p, doubts, err := plan.Make(cmd, set)
	if err != nil {
		parent.Failing(err)
		return 0, err
	}
	p.KeysRead = asWorker
	if cmd.Word == settings.WordCheck && !asWorker && p.Mistakes == nil && ofAnotherUser(&p.Conf) {
		log := func(_ logfile.Level, line string) { fmt.Fprintln(stderr, "fapws:", line) }
		err := judgeFiles(madeAtStart(&p.Conf), &p.Conf, log)
		if err == nil {
			err = p.CheckCertificates(&p.Conf, log)
		}
		if err == nil {
			err = supervisor.BecomeWorker(p)
		}
		if err != nil {
			return 0, err
		}
		return run(args, true, stdin, stdout, stderr)
	}
	if parent == nil && !loader {
		doubts = slices.Concat(foreign, doubts, p.ForeignGlobals())
		warn(slices.Concat(process.ZoneDoubts, settings.UnknownVariables(os.Environ()), doubts), p, stderr)
	}
	if cmd.Word == settings.WordCheck && os.Getenv(confine.SandboxVariable) != "" {
		return checkSandbox(p, stdout, stderr)
	}
	if cmd.Word == settings.WordUnit {
		if err := p.Find(); err != nil {
			return 0, err
		}
		return process.OK, writeUnit(p, args, stdout, stderr)
	}
	if cmd.Word != settings.WordRun {
		code, err := inspect(p, stdout, stderr)
		if cmd.Word == settings.WordCheck && code == process.OK && err == nil && p.Conf.Sandboxed() {
			return checkSandbox(p, stdout, stderr)
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
	switch settings.Word(topic) {
	case settings.WordCtl:
		text = ctl.Help("")
	case settings.WordBench:
		text = bench.Help()
	}
	if text != "" && page != "" {
		text += "\n"
	}
	switch {
	case topic == "topics":
		_, err = fmt.Fprintln(stdout, strings.Join(docs.Topics(), "\n"))
	case text != "" || page != "":
		_, err = io.WriteString(stdout, text+page)
	case topic == "" || topic == "all" || settings.IsWord(topic):
		settings.WriteHelp(stdout, topic == "all")
	default:
		hint := "; fapws help topics lists the pages"
		if near := settings.Nearest(topic, docs.Topics()); near != "" {
			hint = ", did you mean " + near + "?"
		}
		return 0, process.ExitUsage(fmt.Errorf("help: there is no topic %q%s", topic, hint))
	}
	return process.OK, err
}

func warn(doubts []string, p *plan.Plan, stderr io.Writer) {
	log := p.Logger(stderr)
	for _, line := range doubts {
		if p.Command.Word == settings.WordRun {
			log.Log(logfile.Warning, line)
		} else {
			fmt.Fprintln(stderr, "fapws:", line)
		}
	}
}

// runBench returns process.Failed as code if a request has failed or a response has an error status.
func runBench(args []string, stdout io.Writer) (code int, err error) {
	o, err := bench.ParseArgs(args, stdout)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return process.OK, nil
	case err != nil:
		return 0, process.ExitUsage(fmt.Errorf("bench: %w", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := bench.Run(ctx, o)
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
	if p.Conf.PidFile != "" {
		instance.PidPath, _ = filepath.Abs(p.Conf.PidFile) // plan.Make has checked the directory
	}
	if pool.Upgraded() || isSupervised(p.Settings, &p.Conf) { // after an upgrade, the settings may differ
		return supervisor.Run(p, instance, stderr)
	}
	return worker.RunAlone(p, instance, stderr)
}

// isSupervised reports whether the settings require workers under a supervisor. Process 1 of a container must reap all
// orphans, and only a supervisor can distinguish orphans from children of the application.
func isSupervised(set *settings.Settings, conf *settings.Config) bool {
	return set.Source("workers").Level > settings.FromDefault || conf.Reload || conf.Dev ||
		conf.Channels != "" || conf.IdleStop > 0 || conf.Fork || conf.MaxRequests > 0 || conf.MaxRSS > 0 ||
		conf.User != "" || conf.Group != "" || conf.Chroot != "" || conf.Sandboxed() || os.Getpid() == 1
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

// inspect runs a command that loads an application without serving it, or --print-config.
func inspect(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	log := func(_ logfile.Level, line string) { fmt.Fprintln(stderr, "fapws:", line) }
	wrong := p.Mistakes
	if wrong == nil {
		wrong = p.Find()
	}
	if wrong != nil {
		// Check may find further mistakes, although the applications are not loaded.
		others := p.Check(&p.Conf, nil, log)
		var f *process.ExitError
		if errors.As(wrong, &f) && others == nil {
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
	app, err := p.Load(logfile.Plain, func(err error) int { return process.ExitReport(stderr, err) }, func(line string) {
		fmt.Fprintln(stderr, "fapws:", line)
	})
	if err != nil {
		return 0, err
	}
	tool := map[settings.Word]string{settings.WordRoutes: "_routes", settings.WordShell: "_shell"}[p.Command.Word]
	if err := show(p, &app.Contents, stdout, log); err != nil {
		code = process.ExitReport(stderr, err)
	} else if tool != "" {
		code = app.Tool(tool)
	}
	closing := process.ExitAfterClosingTime(time.Time{}, code, func(line string) { log(logfile.Warning, line) })
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
		lines = append(lines, auth.FormPath+"  form of hosts where users log in", auth.OutPath+
			"  and where they log out")
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
	if err := judgeFiles(files, conf, log); err != nil {
		return err
	}
	return p.CheckCertificates(conf, log)
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

// judgeFiles returns the first error in files. If this process cannot become the server's user, judgeFiles returns nil,
// because it cannot check the permissions of that user. For a missing directory, judgeFiles only logs a warning,
// because a service manager may create the directory.
func judgeFiles(files []made, conf *settings.Config, log func(logfile.Level, string)) (first error) {
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
	return first
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
		name, python = p.Command.ScriptName(), fmt.Sprintf("Python %s, %s", pybridge.Version(),
			worker.BannerMode(&conf))
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
