package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
)

// loaderVariable is the environment variable that makes a process the loader for its parent process (--fork). The value
// of the variable is the first of the two descriptors that programs.OpenLoader passes.
const loaderVariable = "_FAPWS_LOADER"

// TakeLoader reports whether this process was started as a loader, returns the argument fd for RunLoader, and removes
// the variable from the environment.
func TakeLoader() (fd int, is bool) {
	fd, err := strconv.Atoi(takeVariable(loaderVariable))
	return fd, err == nil
}

// RunLoader runs a loader: it loads the application, describes it to the server, and forks children. RunLoader must be
// called on the main thread.
func RunLoader(p *plan.Plan, fd int, stderr io.Writer) (code int, err error) {
	confine.UseLittleMemory(debug.FreeOSMemory)
	s := newService(p, &Instance{}, stderr, &alone{})
	unix.CloseOnExec(fd)
	unix.CloseOnExec(fd + 1)
	loaded := os.NewFile(uintptr(fd+1), "loaded")
	// failing reports an error to the server. Only the first report is sent, and none after the description of the
	// application, because the descriptor is then closed.
	failing := func(err error) {
		if text, _, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(text, "{") {
			_, _ = loaded.WriteString(text)
			loaded.Close()
		}
	}
	defer func() {
		if err != nil {
			failing(err)
		}
	}()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2)
	if err := s.plan.Find(); err != nil {
		return 0, process.ExitFrom(err)
	}
	var hasLoaded atomic.Bool
	go endWithServer(fd, &hasLoaded)
	look := s.log.Look()
	if look != logfile.Object { // lines get their time and level from the process that logs them
		look = logfile.Plain
	}
	app, err := s.plan.Load(look, func(err error) int {
		failing(err)
		return s.reportError(err)
	}, s.warn)
	if err != nil {
		return 0, err
	}
	if s.conf, err = s.plan.ReadScript(&app.Contents); err != nil {
		return 0, err
	}
	if err := app.Forkable(); err != nil {
		return 0, process.ExitNotStarted("%s: %v", s.plan.Command.ScriptName(), err)
	}
	text, err := json.Marshal(&app.Contents)
	if err == nil {
		_, err = loaded.Write(text)
	}
	if err != nil {
		return 0, process.ExitNotStarted("cannot inspect the loaded application: %v", err)
	}
	hasLoaded.Store(true)
	loaded.Close()
	s.python.app, s.python.contents = app, &app.Contents
	if err := s.enterSandbox(); err != nil {
		return 0, err
	}
	run := s.runConfig()
	run.Timeout = s.conf.Server.Timeout
	if err := app.ServeForks(run, fd); err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	return app.Close(), nil
}

// endWithServer ends the loader if the server ends before the application has loaded. After the application has loaded,
// the Python module fapws._fork notices the end of the server.
func endWithServer(control int, hasLoaded *atomic.Bool) {
	for !hasLoaded.Load() {
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(control)}}, 200); n > 0 && !hasLoaded.Load() {
			os.Exit(process.Failed)
		}
	}
}

func (y *python) openLoader(s *service) error {
	// The loader runs the same program as this process, with the same arguments, in the directory of the plan.
	cmd := process.Again(false, process.Arguments()...)
	cmd.Dir = s.plan.Dir
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", loaderVariable, len(cmd.ExtraFiles)+3), settings.KeptVariable+"="+
		s.plan.Settings.KeptFromFile())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	root := os.DirFS("/")
	before := confine.MemoryKills(root)
	loader, loaded, err := programs.OpenLoader(cmd, programs.LoaderOptions{
		Killed: func() string { return confine.MemoryExceeded(root, before) },
		Died:   s.signals.replace,
	})
	var failed *programs.LoadError
	switch {
	case errors.As(err, &failed) && failed.Code >= 0:
		tellFailing(s.role, errors.New(failed.Reason))
		return process.ExitSilently(failed.Code) // the loader has reported the reason
	case err != nil:
		return process.ExitNotStarted("%v", err)
	}
	y.loader.Store(loader)
	y.contents = &pybridge.Contents{}
	if err := json.Unmarshal(loaded, y.contents); err != nil {
		return process.ExitNotStarted("cannot read the result of the loader: %v", err)
	}
	return nil
}

// useLoader passes the settings and the log files to the loader, if there is one, so that the loader can serve
// requests. useLoader is called only once.
func (y *python) useLoader(conf *settings.Config, logs *plan.LogFiles) {
	loader := y.loader.Load()
	if loader == nil {
		return
	}
	loader.Serve(programs.Serving{
		SiteVariables: programs.SiteVariables{Software: process.Software()},
		Places:        programs.NewPlaces(conf.Forks(), conf.MaxQueue),
		Timeout:       conf.Server.Timeout,
		Objects:       conf.ErrorLogFormat == "json",
		Log: func(number int, client, line string) {
			logs.Client(number, logfile.Error, client, line)
		},
	})
}

// followErrors makes the loader write to the error log after the log was reopened, and is safe for concurrent use.
func (y *python) followErrors() {
	if loader := y.loader.Load(); loader != nil {
		loader.FollowStderr()
	}
}
