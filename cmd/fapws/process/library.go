//go:build library

package process

// #include <stdlib.h>
// #include "preload.h"
import "C"

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Main is the main function of the program, which the package main sets. The package main itself does not use cgo:
// otherwise Go would compile all packages that do so again in each build of a library, for the header of its functions.
var Main func()

// fapws_main is the main function if the program is a library. fapws_main runs on the main thread and stays there. Its
// goroutine is locked to the thread. Otherwise Go could start a new thread from the main thread, and the new thread would
// inherit the privileges of the main thread.
//
//export fapws_main
func fapws_main() {
	runtime.LockOSThread()
	Main()
}

// A process with the library was started as `python -m fapws`, so remove the first arguments. If Python has not
// preloaded the library, the Python module fapws reports this error.
func init() {
	const own = 3 // the interpreter, -m, fapws
	if file != nil && len(os.Args) >= own {
		os.Args = append([]string{"fapws"}, os.Args[own:]...)
	}
}

// The library is kept open, because its file may be replaced or removed while this process runs.
var file = os.NewFile(uintptr(C.fapws_preload.fd), "libfapws.so")

func File() string { return C.GoString(C.fapws_preload.path) }

func Started() string { return File() }

func Interpreter() string { return C.GoString(C.fapws_preload.interpreter) }

// LowPorts returns a shell command that permits all programs to listen on ports from 80 on. LowPorts does not suggest
// file capabilities, because the dynamic loader does not preload libraries into an interpreter that has them.
func LowPorts() string { return "sudo sysctl net.ipv4.ip_unprivileged_port_start=80" }

// TakeName does nothing, because a constructor in the library has already set the name of the process.
func TakeName() {}

// Again returns a command that starts the installed program in the same way as a user does. Again does not use -m,
// because Python would then search the working directory first.
func Again(newest bool, args ...string) *exec.Cmd {
	if newest {
		cmd := exec.Command(Interpreter(), append([]string{filepath.Join(filepath.Dir(File()), "__main__.py")}, args...)...)
		cmd.Env = os.Environ()
		if _, err := os.Stat(File()); err != nil { // because of this error, an upgrade does not begin
			cmd.Err = err
		}
		return cmd
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"-m", "fapws"}, args...)...)
	cmd.Args[0] = Interpreter()
	cmd.ExtraFiles = []*os.File{file}
	// Name the library by its descriptor, because a different library may have replaced it at its path.
	preload := "/proc/self/fd/3"
	if others, ok := os.LookupEnv("LD_PRELOAD"); ok {
		preload += ":" + others
	}
	cmd.Env = append(os.Environ(), C.FAPWS_LIBRARY+"=3:"+File(), C.FAPWS_INTERPRETER+"="+Interpreter(), "LD_PRELOAD="+
		preload)
	return cmd
}
