// Package process starts the program again, which may be an executable or a library. No other package uses os.Args,
// os.Executable or /proc/self/exe.
//
// As an executable (executable.go), which build.sh makes, the program has Python linked into it. As a library
// (library.go, build tag library) in a wheel, the program runs in the Python that installed the wheel: `python -m
// fapws` (contrib/fapws/__main__.py) starts Python again with the library preloaded, which replaces the main function
// of Python (preload.c). So the Python executable serves as libpython and matches the installed extension modules.
// Everything else is the same as in the executable: this program initializes Python, on the main thread, when and how
// it needs to.
//
// The alternative is an extension module, imported by a running Python. An extension module has disadvantages: handlers
// run two frames deeper, the importing script occupies Python's main thread, Python's handlers receive signals first,
// and a supervisor keeps an unused Python in memory.
//
// # Exit codes
//
// exit.go has the exit codes of fapws, the errors that carry them to main, and the limit on how long an ending process
// may take. Start reading at ExitError and ExitReport.
//
// # Blocked signals
//
// signals.go handles signals that are blocked when a process starts. Importing the package has effects before Go's
// runtime starts. A worker unblocks the control signals of a supervisor. A supervisor that takes over during an upgrade
// records the signals that arrive before it catches them: HUP, TTIN and TTOU must not end it, and TERM, INT and QUIT
// must end it gracefully.
//
// A short time remains between the start of Go's signal handling and the initialization of this package. A TERM or INT
// then ends the supervisor at once with status 0, and its workers end gracefully, as if it had died. A QUIT ends it
// with Go's dump, and a HUP is lost.
//
// # Orphans
//
// A process whose parent has died ends. A worker calls WatchParent, once, on the main thread.
//
// Reading the end of a pipe or socket would not suffice: the application may have closed the descriptor, or all threads
// may be blocked. So the kernel sends a signal (PR_SET_PDEATHSIG), which starts a kernel timer that kills the worker
// after the graceful timeout (orphan.c).
//
// # Service manager, pid file, version
//
// A Notifier reports the state of the server to a service manager, by the protocol of sd_notify(3): datagrams to a unix
// socket whose address is in the environment. The Notifier also notifies the manager's watchdog while the server
// responds. Only the process that the manager has started uses a Notifier.
//
// A PIDFile writes the ID of this process to a file for scripts and service managers. The file of another running
// process is not changed.
//
// Version names the program in banners, in the field Server and in environments. build.sh sets the version when it
// links the executable.
package process
