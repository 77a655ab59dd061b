package worker

import (
	"net"
	"syscall"

	"fapws/pybridge"
)

// keepFromChildren makes the processes that the application forks let go of
// these listeners, and of the connections of the server.
func keepFromChildren(listeners []net.Listener) error {
	for _, ln := range listeners {
		if c, ok := ln.(syscall.Conn); ok {
			if err := pybridge.KeepFromChildren(c); err != nil {
				return err
			}
		}
	}
	return nil
}
