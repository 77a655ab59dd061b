package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
)

// checkVariable is set in the environment of a child that checks whether this server can be reloaded.
const checkVariable = "_FAPWS_RELOAD_CHECK"

// ChecksReload reports whether this process is a child that checks whether its parent can be reloaded.
var ChecksReload = sync.OnceValue(func() bool {
	defer os.Unsetenv(checkVariable)
	return os.Getenv(checkVariable) != ""
})

// check loads the application in a child, as the command "check" or CheckReload does, and writes the errors of the child
// to the error log. The returned error is the last of them.
func (g *again) check() error {
	s := g.s
	cmd := process.Again(true, process.Arguments()...)
	if err := errors.Join(cmd.Err, unix.Access(cmd.Path, unix.X_OK)); err != nil {
		return fmt.Errorf("cannot execute %s: %w", cmd.Path, err)
	}
	if s.conf.ReloadCheck == settings.NoReloadCheck {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.conf.LoadTimeout)
	defer cancel()
	// The kernel sends Pdeathsig when the thread ends that has started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	var said bytes.Buffer
	child.Args, child.Dir, child.Stderr = cmd.Args, s.plan.Dir, &said
	child.Env = append(process.Environment(), checkVariable+"=1")
	child.Env = slices.DeleteFunc(child.Env, func(one string) bool { return strings.HasPrefix(one, "NOTIFY_SOCKET=") })
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	child.WaitDelay = time.Second
	err := child.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("the application did not load within %v; see --load-timeout", s.conf.LoadTimeout)
		fmt.Fprintf(&said, "fapws: %v\n", err)
	}
	_, _ = os.Stderr.Write(said.Bytes()) // the error log, unless it is full
	if text := strings.TrimSpace(said.String()); text != "" {
		err = errors.New(strings.TrimPrefix(text[strings.LastIndexByte(text, '\n')+1:], "fapws: "))
	}
	return err
}
