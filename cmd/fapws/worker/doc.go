// Package worker implements the process that serves clients, with or without a supervisor. With --fork, this package
// also implements the loader, a process that loads the application and forks children (loader.go). With --idle-stop, a
// worker can be asleep (sleep.go). A serving process loads the applications of a plan and serves them with package
// runtime. A worker exchanges events, subscribers and purges with other workers through the supervisor. The file
// protocol.go names the requests that a supervisor and its workers exchange.
//
// RunAlone, Parent.Run and RunLoader must be called on the main thread, because Python's main thread is the thread that
// starts Python. A service has one of four roles (role.go): it serves without a supervisor (alone.go), serves as a
// worker (parent.go), executes "check --sandbox" (sandbox_check.go), or sends requests to itself (visit.go). The
// application runs in the serving process, or with --fork in children of the loader (python.go).
//
// # Start
//
// A service starts its parts in this order: the known settings; listeners; the event loop, because inline Python is
// loaded on its thread; sites without the application; Python; the script, which defines PATHS and settings; all
// settings; the access log; document roots; the sandbox; threads; the banner. After a failure, the process writes one
// line and ends with an exit code (package process). Listeners are opened before the application loads (listen.go), so
// that an address in use is reported at once. While the application loads, requests that do not need the application
// are served, and all other requests wait (service.go).
//
// # Signals and the end
//
// Go owns TERM, INT, QUIT, HUP, USR1 and USR2. Python installs no signal handlers, except the handler for timeouts if
// handlers run inline. If a script handles a signal with signal.signal, core_signals.c passes the signal to Python's
// main thread, where the signal interrupts the running handler. If that thread is idle, the event loop runs the
// script's function: Python writes the number of the signal to a socketpair that the event loop watches.
//
// A process that stops closes its listeners and idle connections. The listeners of workers stay open in the supervisor.
// Requests that were already received are answered with Connection: close. After --graceful-timeout, the remaining
// connections are closed. Then Python's threads end, the script's own threads and atexit functions get 5 s to finish,
// and Python is finalized. A handler that does not return cannot be stopped. In this case, the process runs the atexit
// functions on a different thread and exits (stop.go).
//
// A worker stops gracefully when its channel ends, because this usually means that its supervisor has died. In
// addition, the kernel reports the death of the supervisor (process.WatchParent).
//
// # Executing fapws again
//
// A process without a supervisor reloads its application by executing fapws again in the same process (again.go). A
// child first loads the new code as a check (reload_check.go). Then the process stops as above, but keeps the listening
// sockets, the idle connections, and the clients of the control socket that wait for the reload. The new program gets
// them with process.Replace, which supervisors use for upgrades, too. If no handler can run any more, the process
// executes fapws again at once (heal.go).
//
// # Where a server listens
//
// The file listen.go determines a server's addresses from three sources: the settings, the text of the script before it
// runs, and the sockets that a service manager has opened.
//
// # Banner, pid file and control socket
//
// A Shown contains the facts for the banner, a few lines that the server prints at its start: the addresses, the
// application, the version of Python and the mode.
package worker
