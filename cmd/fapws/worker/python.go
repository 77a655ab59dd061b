package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/source/programs"
)

// python is the application of a service, in this process or, with --fork, in a loader.
type python struct {
	server *runtime.Server
	// do runs a function on Python's main thread: the calling thread or, if handlers run inline, the thread of the event
	// loop. doBeside runs a long function there, before handlers run.
	do, doBeside func(func())
	inline       bool
	app          *pybridge.App                   // nil unless Python is in this process
	loader       atomic.Pointer[programs.Loader] // nil unless Python is in a loader
	contents     *pybridge.Contents              // contents of the applications, or nil
	handler      *pybridge.Handler               // nil unless Python is in this process
	state        atomic.Uint32
	// time of the last use that was not a request, such as a published event; nil before the application has loaded
	lastUse atomic.Pointer[time.Time]
}

type appState uint32

const (
	appLoading appState = iota
	appAsleep           // the application will be loaded when a request needs it
	// the application was asleep and has then failed to load, or the server has no application
	appFailed
	appRunning // the sites are complete; also used if the sites contain no application
)

// String returns the reason why no handler runs in this process.
func (a appState) String() string {
	return [...]string{"the application is loading", "the application is asleep", "the application is asleep",
		"this server runs no Python"}[a]
}

// become changes the state of the application and reports whether the state has changed. The state appFailed is final.
// become is safe for concurrent use.
func (y *python) become(to appState) bool {
	for {
		was := y.state.Load()
		if appState(was) == appFailed || appState(was) == to {
			return false
		}
		if y.state.CompareAndSwap(was, uint32(to)) {
			return true
		}
	}
}

// The method is reports whether the application is in the given state. It is safe for concurrent use.
func (y *python) is(state appState) bool { return appState(y.state.Load()) == state }

// asleep reports whether the application is not loaded because no request has needed it. It is safe for concurrent use.
func (y *python) asleep() bool { return y.is(appAsleep) || y.is(appFailed) }

// running returns the handler for the applications, or nil if they are loading or do not exist. running is safe
// for concurrent use.
func (y *python) running() *pybridge.Handler {
	if !y.is(appRunning) {
		return nil
	}
	return y.handler
}

func (y *python) start(run pybridge.RunConfig, warn func(line string)) error {
	if y.app == nil {
		return nil
	}
	var err error
	var lines []string
	y.do(func() {
		if lines, err = y.app.Warnings(run.Threads); err == nil {
			y.handler, err = y.app.Start(run)
		}
	})
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	if line := y.handler.Warning(); line != "" {
		lines = append(lines, line)
	}
	for _, line := range lines {
		warn(line)
	}
	return nil
}

func (y *python) close(code int, deadline time.Time) int {
	if y.app != nil {
		y.do(func() { code = max(code, y.app.Close()) })
	}
	if loader := y.loader.Load(); loader != nil {
		loader.Close(process.ClosingTime(deadline))
	}
	return code
}

// used records a use of the application. It is safe for concurrent use.
func (y *python) used() { y.lastUse.Store(new(time.Now())) }

// unused reports whether the application was unused for at least idleStop. It returns false if idleStop is 0.
func (y *python) unused(idleStop time.Duration) bool {
	if idleStop == 0 || !y.is(appRunning) || y.contents == nil {
		return false
	}
	idle := min(time.Since(*y.lastUse.Load()), y.server.Unused())
	if loader := y.loader.Load(); loader != nil {
		idle = min(idle, loader.Unused())
	}
	return idle >= idleStop
}

// backlog returns the number of waiting requests and the number of threads, and is safe for concurrent use.
func (y *python) backlog() pybridge.Backlog {
	if h := y.running(); h != nil {
		return h.Backlog()
	}
	return pybridge.Backlog{}
}

// If requests have waited for a thread longer than stalledAfter, the process reports that it is busy.
const stalledAfter = 5 * time.Second

func (y *python) isStalled() bool { return y.backlog().Stalled >= stalledAfter }

func (y *python) stack() string {
	var b strings.Builder
	if loader := y.loader.Load(); loader != nil {
		running := loader.Running()
		fmt.Fprintf(&b, "%d requests run in separate processes\n", len(running))
		for _, r := range running {
			fmt.Fprintf(&b, "process %d, for %.1f s: %s in handler %s\n", r.PID, r.Age.Seconds(), r.Request, r.Handler)
		}
	} else if h := y.running(); h != nil {
		_ = h.Stack(&b, stackWait) // ignore the error, because b already says what is missing
	} else {
		fmt.Fprintln(&b, appState(y.state.Load()))
	}
	return b.String()
}

const profileWithin = ctl.ProfileTime + stackWait

// profile samples the Python stacks of this process for ctl.ProfileTime; an error is the reason why stacks are missing.
func (y *python) profile() (samples []ctl.StatusStack, err error) {
	h := y.running()
	switch {
	case h == nil && y.is(appRunning) && y.loader.Load() != nil:
		return nil, errors.New("the processes of --fork are not profiled")
	case h == nil:
		return nil, errors.New(appState(y.state.Load()).String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), profileWithin)
	defer cancel()
	stacks, err := h.Profile(ctx, ctl.ProfileTime)
	for _, stack := range stacks {
		samples = append(samples, ctl.StatusStack(stack))
	}
	return samples, err
}

// activeWait limits how long the process waits for the GIL to find out which line Python is executing.
const activeWait = 300 * time.Millisecond

// unknownMount is the Mount of a request in a process of --fork, which tells only the name of its handler.
const unknownMount = -1

func (y *python) active() (list []ctl.Active) {
	if loader := y.loader.Load(); loader != nil {
		for _, r := range loader.Running() {
			list = append(list, ctl.Active{Worker: os.Getpid(), Request: pybridge.WithoutQuery(r.Request),
				Handler: r.Handler, Mount: unknownMount, Age: r.Age.Seconds(), State: fmt.Sprint("in process ", r.PID)})
		}
		return list
	}
	h := y.running()
	if h == nil {
		return nil
	}
	active, _ := h.Active(activeWait)
	for _, r := range active {
		list = append(list, ctl.Active{Worker: os.Getpid(), Request: r.Request, Handler: r.Handler, Mount: r.Mount,
			Age: r.Age.Seconds(), State: r.State, At: r.At, Late: r.Late})
	}
	return list
}
