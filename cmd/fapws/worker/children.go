package worker

import (
	"fapws/pybridge"
	"fapws/runtime/listen"
)

// keepFromChildren makes the processes that the application forks let go of
// these listeners, and of the connections of the server.
func keepFromChildren(listeners []*listen.Listener) error {
	for _, ln := range listeners {
		if err := pybridge.KeepFromChildren(ln); err != nil {
			return err
		}
	}
	return nil
}
