package pybridge

// #include "shim.h"
import "C"

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"fapws/runtime/descriptors"
)

// highDescriptors is where the numbers of the descriptors for crashes begin: above those that applications close by
// mistake, and below 64, where the kernel makes room for more.
const highDescriptors = 60

// crashOutput stays open as long as the process.
var crashOutput *os.File

// watchGoCrash makes gocrash.c report crashes of Go's runtime for which the application is to blame. Without
// the descriptors for it, such a crash is a dump.
func watchGoCrash() {
	var low []int
	for {
		fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			break
		}
		low = append(low, fd)
		if fd >= highDescriptors-1 {
			break
		}
	}
	defer func() {
		for _, fd := range low {
			unix.Close(fd)
		}
	}()
	fd := C.fapws_gocrash_watch()
	if fd < 0 {
		return
	}
	crashOutput = os.NewFile(uintptr(fd), "crash")
	if debug.SetCrashOutput(crashOutput, debug.CrashOptions{}) != nil {
		return
	}
	for _, poll := range descriptors.Polls() {
		C.fapws_gocrash_needs(C.int(poll))
	}
}
