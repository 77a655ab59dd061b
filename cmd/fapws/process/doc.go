// Package process starts the running program again, whether the program is an executable or a library. No other package
// uses os.Args, os.Executable or /proc/self/exe.
//
// The executable (executable.go), which build.sh makes, has Python linked into it. The library (library.go, build tag
// library) is part of a wheel and runs in the Python for which the wheel was installed. `python -m fapws`
// (contrib/fapws/__main__.py) starts Python again with the library preloaded, and the library replaces the main
// function of Python (preload.c). Go's runtime starts in this function, because musl passes no arguments to the
// constructors of a library. So the Python executable supplies what libpython otherwise would, and this executable
// always matches the installed extension modules. In both forms, the program itself initializes Python, on the main
// thread, when and how it needs to.
//
// The alternative to a preloaded library is an extension module that a running Python imports. This alternative has
// disadvantages: handlers run two frames deeper, the importing script occupies Python's main thread, Python's own
// handlers receive signals first, and a supervisor keeps an unused Python in memory.
//
// # Exit codes
//
// The file exit.go defines the exit codes of fapws and the errors that carry an exit code to the function main. Start
// reading at ExitError and ExitReport.
//
// # Blocked signals
//
// The file signals.go handles signals that are blocked when a process starts. Importing this package installs C code
// that runs before Go's runtime starts. In a worker, this code unblocks the signals that control the supervisor. A
// program that replaces another one (replace.go) records the signals that arrive before it catches them: HUP, TTIN and
// TTOU must not end the process, and TERM, INT and QUIT must end it gracefully.
//
// Signals are not recorded in the short time between the start of Go's signal handling and the initialization of this
// package. During this time, TERM or INT ends the process at once with status 0, and workers of a supervisor end
// gracefully, as after any death of the supervisor. QUIT ends the process with Go's dump of all goroutines. HUP is
// lost.
//
// # Orphans
//
// A worker must end if its parent dies. For this purpose, the worker calls WatchParent once, on the main thread.
//
// The kernel sends a signal when the parent dies (PR_SET_PDEATHSIG). The signal handler starts a kernel timer that
// kills the worker after the graceful timeout (orphan.c).
//
// # Service manager, pid file, version
//
// A Notifier reports the state of the server to a service manager with the protocol of sd_notify(3): it sends datagrams
// to a unix socket whose address is in the environment. Only the process that the manager has started uses a Notifier.
//
// Version is part of the banner, of the header field Server, and of the environment variable SERVER_SOFTWARE.
package process
