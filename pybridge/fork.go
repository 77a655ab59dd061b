package pybridge

// #include "shim.h"
import "C"

import "syscall"

// KeepFromChildren makes the children that the application forks (os.fork,
// multiprocessing) close a listener and every connection accepted from it, or
// another descriptor that stays open as long as the server. Other descriptors
// need not be told: close-on-exec is enough for children that run a program.
// Call it on one goroutine at a time, once for each descriptor.
func KeepFromChildren(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { C.fapws_keep_from_children(C.int(fd)) })
}
