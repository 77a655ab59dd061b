package pybridge

// #include "shim_process.h"
import "C"

import (
	"sync"
	"syscall"

	"fapws/runtime/descriptors"
)

var keeping sync.Mutex

// KeepFromChildren makes the children that the application forks (os.fork,
// multiprocessing) close a listener and every connection accepted from it, or
// another descriptor that stays open as long as the server, and keeps the application
// itself from closing it (package descriptors). Other descriptors
// need not be told: close-on-exec is enough for children that run a program.
// Any goroutine, before or while handlers run.
func KeepFromChildren(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		descriptors.Keep(int(fd))
		keeping.Lock()
		defer keeping.Unlock()
		C.fapws_keep_from_children(C.int(fd))
	})
}
