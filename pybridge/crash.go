package pybridge

// #cgo LDFLAGS: -Wl,--wrap=fatalf
// #include "shim_process.h"
import "C"

import (
	"syscall"
	"unsafe"
)

// watchLoading makes a crash of the process name the application that is about to be loaded.
func watchLoading(name string) {
	arena := &cArena{}
	defer arena.free()
	C.fapws_crash_watch(arena.str(name))
}

// ReportCrashTo makes a crash of the process also send its line, without "fapws: " and line feed, to c, a socket of
// packets that stays open, as a message that begins with the bytes of before, at most 64. It must be called once, before Load.
func ReportCrashTo(c syscall.Conn, before []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		C.fapws_crash_tell(C.int(fd), unsafe.Pointer(unsafe.SliceData(before)), C.size_t(len(before)))
	})
}
