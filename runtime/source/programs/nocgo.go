//go:build !cgo

package programs

import (
	"os"
	"syscall"
)

// startProcess is for builds without C, of which fapws itself is none: programs ignore the signals that the server ignores.
func startProcess(path string, argv, env []string, dir string, files [3]*os.File) (*os.Process, error) {
	return os.StartProcess(path, argv, &os.ProcAttr{
		Dir:   dir,
		Env:   env,
		Files: files[:],
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}
