package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/sandbox"
	"fapws/cmd/fapws/worker"
)

// rehearse is "check --sandbox", after the check: another process makes the requests, because this one has to remove the
// directory of temporary files, which the sandbox does not allow.
func rehearse(p *plan.Plan, stdout, stderr io.Writer) (code int, err error) {
	if os.Getenv(sandbox.Variable) != "" {
		return worker.Rehearse(p, stdout, stderr)
	}
	if without := sandbox.Missing(); without != "" {
		fmt.Fprintln(stderr, "fapws: sandbox: this system cannot restrict", without)
	}
	dir, err := os.MkdirTemp("", "fapws-sandbox-")
	if err != nil {
		return 0, exit.NotStarted("cannot make a directory for temporary files: %v", err)
	}
	defer os.RemoveAll(dir)
	cmd := process.Again(false, os.Args[1:]...)
	cmd.Dir = p.Dir
	cmd.Env = append(cmd.Env, sandbox.Variable+"="+dir, "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		return ended.ExitCode(), nil
	} else if err != nil {
		return 0, exit.NotStarted("cannot start a process for the sandbox: %v", err)
	}
	return exit.OK, nil
}
