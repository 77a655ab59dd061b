// Package worker is the process that serves: alone or under a supervisor; and the process that has the application for it, with --fork
// (loader.go). With --idle-stop, it may be asleep (sleep.go). It loads the
// applications of a plan, serves them with package runtime, hands events, subscribers and purged pages to other
// workers through the supervisor, and ends when a signal or the supervisor says so. Package command starts it;
// package supervisor imports the messages that both exchange (the Ask constants).
//
// RunAlone, Parent.Run and RunLoader must be called on the main thread, because Python's main thread is the one
// that starts it. They return the exit code. Start reading at service.go; what a
// service without a supervisor has in addition is in alone.go.
//
// # Start
//
// The order is: the settings that are known; listeners; the event loop, because inline Python is loaded on its thread;
// sites without the application; Python; the script, with its PATHS and capital globals; all settings; the access log;
// document roots; the sandbox; threads; the banner. A failure is one line and an exit code (package process). Listeners come first
// (listen.go), so a taken address is reported before the load. SERVER is read from the text of the script if it is a
// plain string there. If it is computed, or turns out to be different, the script runs first.
//
// While the application loads, all that does not need it is served, and requests for it wait (service.go). If the script may
// change a setting, or other workers serve, clients wait in the queue of the kernel instead.
//
// # Signals and the end
//
// Go owns TERM, INT, QUIT, HUP, USR1 and USR2. While the script loads, TERM and INT end the process as they would end
// python3; a second one ends it at once, unless it is an echo of the first (pool.Echo). Python installs none but,
// inline, the one for timeouts. A signal that a script takes with signal.signal is its own: core_signals.c passes
// it to Python's main thread, where it interrupts a handler. If that thread is idle, the loop runs the script's function: Python writes the
// number of the signal to a socketpair that the loop watches.
//
// A stop closes the listeners (a worker's stay open in the supervisor) and idle connections. Requests that have
// arrived are answered, with Connection: close; after --graceful-timeout the rest is closed. Then Python's threads
// end, the script's own threads and atexit functions have 5 s, and Python is finalized. A handler that does not
// return cannot be stopped: the process runs atexit on another thread and exits around it (stop.go).
//
// A worker whose channel ends stops gracefully, because its supervisor has died. The application may have closed the
// channel, so the kernel reports it, too (process.WatchParent).
//
// # Where a server listens
//
// listen.go knows where a server listens: the addresses of the settings, and of the text of a script before it
// runs, and the sockets that a service manager has passed. Its errors say what to do about an address that is taken
// or not allowed. Packages supervisor and worker call it on the main goroutine; package runtime/conn makes the sockets.
//
// # Banner, and what other programs find
//
// A Shown describes a running server in a few lines: the banner at its start, with the addresses, the
// application, the Python and the mode, and a warning if other machines can reach a server that is open. It writes
// nothing; an Instance does.
//
// An Instance has the means by which other programs find a server: its pid file, the messages to the service
// manager, and its control socket (package ctl). The process that receives the signals has one: a
// worker without a supervisor, or the supervisor. The Instance of other workers is empty and does nothing.
package worker
