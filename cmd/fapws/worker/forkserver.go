package worker

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/logs"
	"fapws/cmd/fapws/memory"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime/forkserver"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/cgi"
)

// forkVariable is set in the environment of a process that is to be the fork server of
// another one (--fork).
const forkVariable = "FAPWS_FORKSERVER"

// The descriptors of a fork server, see forkserver.Options.Command.
const (
	forkControl = 3
	forkLoaded  = 4
)

// forkServerEnds is how long a fork server has for ending: longer than its children.
const forkServerEnds = 5 * time.Second

// IsForkServer reports whether this process was started to be one, and removes from
// the environment what says so.
func IsForkServer() bool {
	_, is := os.LookupEnv(forkVariable)
	os.Unsetenv(forkVariable)
	return is
}

// RunForkServer is the life of a fork server: it loads the application, describes it to the server, and forks. It
// must be called on the main thread.
func RunForkServer(p *plan.Plan, stderr io.Writer) (code int, err error) {
	memory.UseLittle()
	s := &service{plan: p, stderr: stderr, host: &alone{}}
	unix.CloseOnExec(forkControl)
	unix.CloseOnExec(forkLoaded)
	control, loaded := os.NewFile(forkControl, "control"), os.NewFile(forkLoaded, "loaded")
	// The server decides when this process ends; a signal to all of its group does not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if err := s.plan.Find(); err != nil {
		return 0, exit.From(err)
	}
	s.log = logs.New(s.stderr, s.plan.Conf.LogLevel, s.plan.Conf.LoopDebug)
	app, err := s.plan.Load(s.report)
	if err != nil {
		return 0, err
	}
	if s.conf, err = s.plan.ReadScript(&app.Contents); err != nil {
		return 0, err
	}
	if err := app.Forkable(); err != nil {
		return 0, exit.NotStarted("%s: %v", s.plan.Command.ScriptName(), err)
	}
	text, err := json.Marshal(&app.Contents)
	if err == nil {
		_, err = loaded.Write(text)
	}
	if err != nil {
		return 0, exit.NotStarted("cannot inspect the loaded application: %v", err)
	}
	loaded.Close()
	s.app, s.contents = app, &app.Contents
	if err := s.enterSandbox(); err != nil {
		return 0, err
	}
	run := s.runConfig()
	run.Stamped = s.conf.ErrorLog != "-"
	if err := app.ServeForks(run, control); err != nil {
		return 0, exit.NotStarted("%v", err)
	}
	return app.Close(), nil
}

// openForks starts the fork server, which loads the application.
func (s *service) openForks() error {
	root := os.DirFS("/")
	before := memory.Kills(root)
	server, loaded, err := forkserver.Open(forkserver.Options{
		Command: s.forkCommand,
		Log:     func(line string) { s.log.Log(loglevel.Error, line) },
		Killed:  func() string { return memory.Exceeded(root, before) },
		Failed:  s.forksFailed,
		Asleep: func() {
			s.log.Log(loglevel.Info, fmt.Sprintf("no request for %v: the application sleeps until there is one", s.conf.IdleStop))
			s.memory.Quiet()
		},
	})
	var failed *forkserver.LoadError
	switch {
	case errors.As(err, &failed) && failed.Code >= 0:
		return exit.Silently(failed.Code) // it has reported the reason
	case err != nil:
		return exit.NotStarted("%v", err)
	}
	s.forks.Store(server)
	s.contents = &pybridge.Contents{}
	if err := json.Unmarshal(loaded, s.contents); err != nil {
		return exit.NotStarted("cannot read the result of the fork server: %v", err)
	}
	return nil
}

// forksFailed is forkserver.Options.Failed.
func (s *service) forksFailed(line string) {
	s.log.Log(loglevel.Error, line)
	s.signals.end(shutdownRequest{how: gracefully, code: exit.Failed}, exit.Failed)
}

func (s *service) forkCommand() *exec.Cmd { return s.sameCommand(forkVariable) }

// secretVariable has a secret in the environment of such a process, by which each one that loads the application makes the same keys
// (contrib/fapws/_upload.py): the server knows those of the first.
const secretVariable = "_FAPWS_SECRET"

// sameCommand starts this executable with the same arguments in the same folder; variable says what it is to be.
func (s *service) sameCommand(variable string) *exec.Cmd {
	s.secret.once.Do(func() { s.secret.text = rand.Text() })
	cmd := process.Again(false, os.Args[1:]...)
	cmd.Dir = s.plan.Dir
	cmd.Env = append(cmd.Env, variable+"=1", secretVariable+"="+s.secret.text)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// useForks lets the fork server answer requests. Once, when the settings and the log
// files are known.
func (s *service) useForks(server *forkserver.Server) {
	server.Serve(forkserver.Serving{
		Gate:      cgi.NewGate(s.conf.MaxForks, s.conf.MaxQueue),
		LogPath:   s.logs.Path,
		StartWait: s.conf.StartWait,
		IdleStop:  s.conf.IdleStop,
		Log: func(number int, client, line string) {
			s.logs.Client(number, loglevel.Error, client, line)
		},
		Messages: func(raw []byte) {
			pybridge.ReadMessages(raw, s.purge, s.warn, &s.forkCounts, s.relay.publishInOrder)
		},
	})
}

// followErrors is for when the error log was rotated: the process with the application has it as its
// standard error, too. It is safe for concurrent use.
func (s *service) followErrors() {
	if server := s.forks.Load(); server != nil {
		server.FollowStderr()
	}
}
