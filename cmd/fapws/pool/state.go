package pool

import (
	"fmt"

	"fapws/runtime/logfile"
)

// A Role is what a worker is started for (Start.Role).
type Role string

const (
	// Plain is the role of a worker that loads its application before it gets the sockets.
	Plain Role = ""
	// PageOnly is the role of a worker that has no application and serves the page that it receives in a Notice. A worker
	// with the role Fresh takes this role when its application has failed to load.
	PageOnly Role = "page"
	// Eager is the role of a worker that can get the sockets before it has loaded, because no other worker serves.
	Eager Role = "eager"
	// Asleep is the role of a worker that loads its application only when a request needs it (setting idle-stop). Until
	// then, the worker serves and answers requests that need no application.
	Asleep Role = "asleep"
	// Fresh is the role of a worker that serves as one with the role Asleep does, but loads its application at once
	// (Options.RetireFirst). When the application has loaded, a worker with the role Asleep or Fresh becomes Plain.
	Fresh Role = "fresh"
)

// ServesFirst reports whether a worker with the role r serves before it has loaded an application.
func (r Role) ServesFirst() bool { return r == Asleep || r == Fresh || r == PageOnly }

// A State is the phase of a worker's life. The table trust has the messages that a worker may send in each state.
type State uint8

const (
	Starting State = iota // no handler has run
	Entering              // the worker enters its sandbox; sent Confined
	Early                 // the handlers run, for the clients that were accepted before the worker has loaded; sent Started
	Ready                 // the worker has loaded, and waits for the others of its generation
	Sleeping              // the worker serves, but its application has not loaded
	Waking                // as Sleeping, but the application is being loaded, and may run handlers
	Serving
	// other workers accept connections; this worker finishes active requests
	Retiring
	Ending
	Dead
	states
)

func (s State) String() string {
	return [...]string{"starting", "entering", "early", "loaded", "asleep", "waking", "serving", "retiring", "ending",
		"dead"}[s]
}

// CanAnswer reports whether a worker in the state s can answer requests: it has loaded, or sleeps until a request needs the
// application, and does not end.
func (s State) CanAnswer() bool { return Ready <= s && s <= Serving }

// An exit is what is known about the end of a worker, besides its State.
type exit uint8

const (
	stays    exit = iota
	replaced      // the worker retires when another worker can take its place
	leaves        // the worker retires when it has loaded (see retireLoaded)
	closed        // the worker has sent Closed: it no longer accepts connections
	reaped        // the process has ended, so its process ID may belong to another process
	exits
)

func (e exit) String() string {
	return [...]string{"staying", "replaced", "leaving", "closed", "reaped"}[e]
}

// A belief is what the supervisor believes of a worker's messages.
type belief uint8

const (
	unsettled  belief = iota
	settled           // the worker has sent its settings
	distrusted        // the worker has sent a forged message and is being killed
	beliefs
)

func (b belief) String() string { return [...]string{"unsettled", "settled", "distrusted"}[b] }

// The following tables contain, as bits, the values that may follow each value.
var (
	nextStates = [states]uint16{
		Starting: 1<<Entering | 1<<Ready | 1<<Sleeping | 1<<Ending | 1<<Dead,
		Entering: 1<<Early | 1<<Ready | 1<<Ending | 1<<Dead,
		Early:    1<<Ready | 1<<Serving | 1<<Ending | 1<<Dead,
		Ready:    1<<Serving | 1<<Retiring | 1<<Ending | 1<<Dead,
		Sleeping: 1<<Waking | 1<<Retiring | 1<<Ending | 1<<Dead,
		Waking:   1<<Ready | 1<<Serving | 1<<Retiring | 1<<Ending | 1<<Dead,
		Serving:  1<<Retiring | 1<<Ending | 1<<Dead,
		Retiring: 1<<Ending | 1<<Dead,
		Ending:   1 << Dead,
	}
	nextExits = [exits]uint16{
		stays:    1<<replaced | 1<<leaves | 1<<closed | 1<<reaped,
		replaced: 1<<leaves | 1<<closed | 1<<reaped,
		leaves:   1<<closed | 1<<reaped,
		closed:   1 << reaped,
	}
	nextBeliefs = [beliefs]uint16{
		unsettled: 1<<settled | 1<<distrusted,
		settled:   1 << distrusted,
	}
)

func (w *worker) setState(to State)   { step(w, &w.State, to, nextStates[w.State]) }
func (w *worker) setExit(to exit)     { step(w, &w.Exit, to, nextExits[w.Exit]) }
func (w *worker) setBelief(to belief) { step(w, &w.Belief, to, nextBeliefs[w.Belief]) }

// step changes a value of w to one of the values next, which are bits. It refuses and logs all other
// values, which are faults of the supervisor.
func step[T interface {
	~uint8
	fmt.Stringer
}](w *worker, target *T, to T, next uint16) {
	switch {
	case *target == to:
	case next>>to&1 == 0:
		w.pool.o.Log(logfile.Error, fmt.Sprintf("bug: worker %d is %s and must not become %s", w.Pid, *target, to))
	default:
		w.pool.o.Log(logfile.Debug, fmt.Sprintf("worker %d: %s, was %s", w.Pid, to, *target))
		*target = to
	}
}

// serves reports whether w serves. A worker of a loading generation does not, even if it needs no application.
func (w *worker) serves() bool { return w.batch == nil && Sleeping <= w.State && w.State <= Serving }

// serve makes w, which has loaded, a serving worker.
func (w *worker) serve() {
	w.batch = nil
	if w.State == Ready {
		w.setState(Serving)
	}
}

// sleeps reports whether w has no application yet, but can serve without one.
func (w *worker) sleeps() bool { return w.State == Sleeping || w.State == Waking }

// answers reports whether w answers requests of clients: w serves, or it does so already although other workers of its
// generation are still loading.
func (w *worker) answers() bool { return w.serves() || w.servesEarly() }

func (w *worker) servesEarly() bool {
	return (w.State == Early || w.State == Ready) && w.Listens && w.loadsNow()
}

// loadsNow reports whether w belongs to the generation that is loading.
func (w *worker) loadsNow() bool { return w.batch != nil && w.batch == w.pool.batch }

// replaces reports whether w loads on its own, to take the place of a worker that has died or must be replaced.
func (w *worker) replaces() bool {
	return w.batch == nil && w.State <= Ready && w.Exit != leaves && w.Role != PageOnly
}
