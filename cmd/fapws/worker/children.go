package worker

import (
	"fapws/pybridge"
	"fapws/runtime/conn"
)

// keepFromChildren makes the processes that the application forks let go of
// these listeners, and of the connections of the server.
func keepFromChildren(listeners []*conn.Listener) error {
	for _, ln := range listeners {
		if err := pybridge.KeepFromChildren(ln); err != nil {
			return err
		}
	}
	return nil
}
