package pybridge

// #include "shim_process.h"
import "C"

import (
	"sync"
	"syscall"

	"fapws/runtime/descriptors"
)

var keeping sync.Mutex

// KeepFromChildren makes children that the application forks (os.fork, multiprocessing) close a listener and all connections
// accepted from it, or another descriptor that the server never closes, and keeps the application from closing it (package
// descriptors). For other descriptors close-on-exec is enough. It is safe for concurrent use.
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
