// Package worker implements the serving process, alone or under a supervisor, and with --fork the process that has
// loaded the application (loader.go). With --idle-stop, a worker may be asleep (sleep.go). A worker process loads the
// applications of a plan, serves them with package runtime, passes events, subscribers and purges to other workers
// through the supervisor, and ends after a signal or a message of the supervisor. Package command starts a worker.
// Package supervisor imports the constants of the messages (the Ask constants).
//
// RunAlone, Parent.Run and RunLoader must be called on the main thread, because Python's main thread is the thread that
// starts Python. A service has one of three roles (role.go): without a supervisor (alone.go), as a worker (parent.go),
// or for "check --sandbox" (sandbox_check.go). The application is in this process or in a loader (python.go).
//
// # Start
//
// The order is: the known settings; listeners; the event loop, because inline Python is loaded on its thread; sites
// without the application; Python; the script, with its PATHS and capital globals; all settings; the access log;
// document roots; the sandbox; threads; the banner. A failure is one line and an exit code (package process). Listeners
// are opened before the load (listen.go), so an address in use is reported at once. SERVER is read from the text of the
// script if it is a plain string. If SERVER is computed or changes later, the listeners are opened after the script has
// run.
//
// While the application loads, requests that do not need the application are served, and other requests wait
// (service.go). If the script may change a setting, or other workers serve, clients wait in the listen queue of the
// kernel instead.
//
// # Signals and the end
//
// Go owns TERM, INT, QUIT, HUP, USR1 and USR2. While the script loads, TERM and INT end the process as they would end
// python3; a second signal ends the process at once, unless it is an echo of the first signal (pool.Echo). Python
// installs no handlers except, inline, the handler for timeouts. If a script handles a signal with signal.signal,
// core_signals.c passes the signal to Python's main thread, where it interrupts a handler. If that thread is idle, the
// event loop runs the script's function: Python writes the number of the signal to a socketpair that the event loop
// watches.
//
// A stop closes the listeners (a worker's stay open in the supervisor) and idle connections. Received requests are
// answered with Connection: close. After --graceful-timeout, the remaining connections are closed. Then Python's
// threads end, the script's own threads and atexit functions have 5 s, and Python is finalized. A handler that does not
// return cannot be stopped: the process runs the atexit functions on another thread and exits (stop.go).
//
// A worker whose channel ends stops gracefully, because its supervisor has died. The application may have closed the
// channel, so the kernel also reports the death of the supervisor (process.WatchParent).
//
// # Where a server listens
//
// listen.go determines the addresses of a server: from the settings, from the text of a script before it runs, and from
// the sockets of a service manager.
//
// # Banner, pid file and control socket
//
// A Shown describes a running server in a few lines: the banner at its start, with the addresses, the application, the
// Python and the mode, and a warning if other machines can reach a server that is open.
//
// An Instance has the resources by which other programs find a server: its pid file, the messages to the service
// manager, and its control socket (package ctl). The process that receives the signals has one: a worker without a
// supervisor, or the supervisor.
package worker
