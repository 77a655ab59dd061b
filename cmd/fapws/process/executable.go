//go:build !library

package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// The main goroutine stays on the main thread. Python's main thread is the thread that starts Python, and scripts
// expect to run on that thread.
func init() { runtime.LockOSThread() }

// started is the absolute path by which the executable was called; "" if it is unknown. An upgrade starts the new
// version at this path. The path is determined before the program changes its working directory.
var started = func() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil || errors.Is(err, exec.ErrDot) {
		if path, err = filepath.Abs(path); err == nil {
			return path
		}
	}
	path, _ = os.Executable()
	return path
}()

// File returns the path of the running program: the executable, or the library in the directory of the Python package.
// File returns "" if the path is unknown, and is safe for concurrent use.
func File() string {
	path, _ := os.Executable()
	return path
}

// Started returns the absolute path by which the executable was called, or "".
func Started() string { return started }

func Interpreter() string { return "" }

func LowPorts() string { return "sudo setcap cap_net_bind_service=+ep " + File() }

// TakeName sets the name of the process to "fapws". Otherwise a process that Again has started would be named exe,
// after /proc/self/exe. TakeName must be called on the main thread.
func TakeName() { _ = os.WriteFile("/proc/thread-self/comm", []byte("fapws"), 0) }

// Again returns a command that starts the running program, even if its file was replaced or removed since the start. If
// newest is true, the command starts the program that is now installed at the same path. ExtraFiles of the command may
// already contain files, so callers must append further files.
func Again(newest bool, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	if newest {
		cmd.Path = started
	}
	cmd.Args[0] = os.Args[0]
	cmd.Env = os.Environ()
	return cmd
}
