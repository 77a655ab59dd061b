//go:build library

package process

// #include <stdlib.h>
// #include "preload.h"
import "C"

import (
	"os"
	"os/exec"
	"path/filepath"
)

// A process with the library gets the arguments of `python -m fapws`. If Python has not preloaded the library, the
// module reports that.
func init() {
	const own = 3 // the interpreter, -m, fapws
	if file != nil && len(os.Args) >= own {
		os.Args = append([]string{"fapws"}, os.Args[own:]...)
	}
}

// An installed library may be replaced or removed while this process runs.
var file = os.NewFile(uintptr(C.fapws_preload.fd), "libfapws.so")

func File() string { return C.GoString(C.fapws_preload.path) }

func Interpreter() string { return C.GoString(C.fapws_preload.interpreter) }

// LowPorts does not suggest capabilities, because the dynamic loader preloads nothing into an interpreter that has
// them.
func LowPorts() string { return "sudo sysctl net.ipv4.ip_unprivileged_port_start=80" }

// The constructor of the library has named the process.
func TakeName() {}

// Start the newest program as users do, and not by -m, which would search the working directory first.
func Again(newest bool, args ...string) *exec.Cmd {
	if newest {
		cmd := exec.Command(Interpreter(), append([]string{filepath.Join(filepath.Dir(File()), "__main__.py")},
			args...)...)
		cmd.Env = os.Environ()
		if _, err := os.Stat(File()); err != nil { // an upgrade must not begin
			cmd.Err = err
		}
		return cmd
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"-m", "fapws"}, args...)...)
	cmd.Args[0] = Interpreter()
	cmd.ExtraFiles = []*os.File{file}
	// the first of ExtraFiles, because the path may belong to another library by now
	preload := "/proc/self/fd/3"
	if others, ok := os.LookupEnv("LD_PRELOAD"); ok {
		preload += ":" + others
	}
	cmd.Env = append(os.Environ(), C.FAPWS_LIBRARY+"=3:"+File(), C.FAPWS_INTERPRETER+"="+Interpreter(), "LD_PRELOAD="+
		preload)
	return cmd
}
