package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/supervisor"
	"fapws/cmd/fapws/worker"
)

// prepareProcess sets up everything that all processes of a server have in common.
func prepareProcess(p *plan.Plan) {
	if p.Conf.Umask >= 0 {
		unix.Umask(p.Conf.Umask)
	}
	// As python3 does, so that writing to a closed pipe, or beyond RLIMIT_FSIZE, is an error
	// that handlers can catch.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
}

// serve serves in this process, or supervises workers that do.
func serve(p *plan.Plan, stderr io.Writer) (code int, err error) {
	warning, err := judgeRoot(&p.Conf)
	if err != nil {
		return 0, err
	}
	front := &worker.Presence{Passed: worker.TakePassed(), Notifier: process.TakeNotifier(), PidPath: p.Conf.PidFile, Warning: warning}
	if isSupervised(p.Settings, &p.Conf) {
		return supervisor.Run(p, front, stderr)
	}
	return worker.RunAlone(p, front, stderr)
}

// isSupervised reports whether the settings ask for workers under a supervisor. Process 1 of a container has to take note of
// the end of processes that others leave to it, which only a supervisor can tell from children of the application.
func isSupervised(set *settings.Settings, conf *settings.Config) bool {
	return set.Source("workers").Level > settings.FromDefault || conf.Reload || conf.Dev ||
		conf.Channels != "" || conf.IdleStop > 0 && !conf.Fork || conf.MaxRequests > 0 || conf.MaxRSS > 0 || conf.User != "" || conf.Group != "" || conf.Chroot != "" ||
		conf.Sandbox != settings.SandboxModes[0] || os.Getpid() == 1
}

// errRoot refuses root on a system where another user could run the application.
var errRoot = errors.New("refusing to run as root: choose a user with --user NAME, or pass --allow-root (FAPWS_ALLOW_ROOT=1)")

// judgeRoot decides about a process that was started by root. Where the process would
// stay root and nothing allows that, the result is an error, or a warning on a system that leaves no choice.
func judgeRoot(conf *settings.Config) (warning string, err error) {
	if os.Geteuid() != 0 || conf.AllowRoot || !staysRoot(conf) {
		return "", nil
	}
	reason := confine.RootReason()
	if reason == "" {
		return "", process.ExitUsage(errRoot)
	}
	return "running as root, because " + reason + "; choose another user with --user NAME, or silence this with --allow-root", nil
}

// staysRoot reports whether a process that was started by root would serve as root.
func staysRoot(conf *settings.Config) bool {
	if conf.User == "" {
		return true
	}
	id, err := confine.LookupIdentity(conf.User, conf.Group)
	return err == nil && id.UID == 0 // the supervisor reports the error
}

// rehearse is "check --sandbox", after the check: another process makes the requests, because this one has to remove the
// directory of temporary files, which the sandbox does not allow.
func rehearse(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	if os.Getenv(confine.SandboxVariable) != "" {
		return worker.Rehearse(p, stdout, stderr)
	}
	if without := confine.MissingInSandbox(); without != "" {
		fmt.Fprintln(stderr, "fapws: sandbox: this system cannot restrict", without)
	}
	dir, err := os.MkdirTemp("", "fapws-sandbox-")
	if err != nil {
		return 0, process.ExitNotStarted("cannot make a directory for temporary files: %v", err)
	}
	defer os.RemoveAll(dir)
	cmd := process.Again(false, os.Args[1:]...)
	cmd.Dir = p.Dir
	cmd.Env = append(cmd.Env, confine.SandboxVariable+"="+dir, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		return ended.ExitCode(), nil
	} else if err != nil {
		return 0, process.ExitNotStarted("cannot start a process for the sandbox: %v", err)
	}
	return process.OK, nil
}
