package pool

import (
	"fmt"

	"fapws/runtime/loglevel"
)

// State says where a worker is in its life.
type State uint8

// The states, in the order of a life.
const (
	Starting State = iota // the process runs, the application is being loaded
	Ready                 // the application is loaded
	Serving               // it accepts connections
	Retiring              // another one accepts in its place; it finishes its active requests
	Ending                // it was told to stop
	Dead                  // the process has ended
)

// String is the word that ctl status shows.
func (s State) String() string {
	return [...]string{"starting", "loaded", "serving", "retiring", "ending", "dead"}[s]
}

// setState is where the state of a worker changes.
func (w *worker) setState(to State) {
	if w.state == to {
		return
	}
	w.pool.o.Log(loglevel.Debug, fmt.Sprintf("worker %d: %s, was %s", w.pid, to, w.state))
	w.state = to
}
