package pybridge

// #include "shim.h"
import "C"

import (
	"os"
	"runtime/debug"
	"syscall"
	"unsafe"

	"fapws/runtime/system"
)

// watchLoading has the report of a crash name the application that will be loaded.
func watchLoading(name string) {
	arena := &cArena{}
	defer arena.free()
	C.core_crash_watch(arena.str(name))
}

// ReportCrashTo has the line about a crash, without "fapws: " and line feed, also sent to c, a packet socket that stays open, in a
// message that begins with the bytes of before, at most 64. It must be called once, before Load.
func ReportCrashTo(c syscall.Conn, before []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		C.core_crash_tell(C.int(fd), unsafe.Pointer(unsafe.SliceData(before)), C.size_t(len(before)))
	})
}

// crashOutput stays open as long as the process.
var crashOutput *os.File

// watchGoCrash has core_gocrash.c report crashes of Go's runtime that the application causes. If no descriptors are available for it,
// such a crash is a dump.
func watchGoCrash() {
	system.OpenHigh(func() {
		fd := C.core_gocrash_watch()
		if fd < 0 {
			return
		}
		crashOutput = os.NewFile(uintptr(fd), "crash")
		_ = debug.SetCrashOutput(crashOutput, debug.CrashOptions{})
	})
	for _, poll := range system.Polls() {
		C.core_gocrash_needs(C.int(poll))
	}
}
