// Package worker is the process that serves: alone, under a supervisor, or as a fork server.
// It loads the applications of a plan, serves them with package runtime, hands events,
// subscribers and purged pages to other workers through the supervisor, and ends when a signal
// or the supervisor says so. Package command starts it; package supervisor imports the
// messages that both exchange (Settled, the Ask constants).
//
// RunAlone, Parent.Run and RunForkServer have to be called on the main thread, because
// Python's main thread is the one that starts it. They return the exit code.
package worker
