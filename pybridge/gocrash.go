package pybridge

// #include "shim_process.h"
import "C"

import (
	"os"
	"runtime/debug"

	"fapws/runtime/descriptors"
)

// crashOutput stays open as long as the process.
var crashOutput *os.File

// watchGoCrash has gocrash.c report crashes of Go's runtime that the application causes. If no descriptors are available for it,
// such a crash is a dump.
func watchGoCrash() {
	descriptors.OpenHigh(func() {
		fd := C.fapws_gocrash_watch()
		if fd < 0 {
			return
		}
		crashOutput = os.NewFile(uintptr(fd), "crash")
		_ = debug.SetCrashOutput(crashOutput, debug.CrashOptions{})
	})
	for _, poll := range descriptors.Polls() {
		C.fapws_gocrash_needs(C.int(poll))
	}
}
