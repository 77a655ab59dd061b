package pybridge

// #include "shim_process.h"
import "C"

import (
	"syscall"
	"unsafe"
)

// watchLoading has the report of a crash name the application that will be loaded.
func watchLoading(name string) {
	arena := &cArena{}
	defer arena.free()
	C.fapws_crash_watch(arena.str(name))
}

// ReportCrashTo has the line about a crash, without "fapws: " and line feed, also sent to c, a packet socket that stays open, in a
// message that begins with the bytes of before, at most 64. It must be called once, before Load.
func ReportCrashTo(c syscall.Conn, before []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		C.fapws_crash_tell(C.int(fd), unsafe.Pointer(unsafe.SliceData(before)), C.size_t(len(before)))
	})
}
