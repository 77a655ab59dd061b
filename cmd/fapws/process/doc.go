// Package process knows in which of two forms the program runs, and how the program starts itself again: no other package looks at
// os.Args, os.Executable or /proc/self/exe.
//
// As an executable (executable.go), which build.sh makes, the program has Python linked into it. As a library (library.go, build tag
// library), which the wheel of pip has, the program runs in the Python that has installed it: `python -m fapws` (contrib/fapws/__main__.py)
// starts that Python again with the library preloaded, which puts its own main in the place of Python's (preload.c). So Python itself is
// the libpython, of the same build as the extension modules that it has installed, and everything else is as in the executable:
// this program initializes Python, on the main thread, when and how it needs to.
//
// An extension module, which a Python that runs already would import, is the other way. Handlers then run two frames deeper, inline loses
// Python's main thread to the importing script, signals arrive at handlers of Python first, and a supervisor has a Python in memory
// that it never uses.
//
// # Exit codes
//
// exit.go has the exit codes of fapws, the errors that carry them to main, and the limit on how long an ending
// process may take. Start reading at ExitError and ExitReport.
//
// # Blocked signals
//
// signals.go deals with signals that a process finds blocked when it starts. Importing it has effects, before
// Go's runtime starts: a worker unblocks the control signals of a supervisor, and a supervisor that takes over at an
// upgrade keeps those that arrive until it catches them: HUP, TTIN and TTOU must not end it, and TERM, INT and QUIT must
// end it in order.
//
// A few milliseconds remain, from when Go handles signals until it initializes this package. A TERM or INT then ends the
// supervisor at once with status 0, and its workers end in order, as if it had died; a QUIT ends it with Go's dump, and
// a HUP is lost.
//
// # Orphans
//
// A process whose parent has died ends. A worker calls WatchParent, once, on the main thread.
//
// The other end of a pipe or socket reports that, too, but not to a process in which the application has closed the
// descriptor, or whose threads are all stuck. So the kernel reports it: a signal from PR_SET_PDEATHSIG arms a timer
// of the kernel's that kills the worker after the graceful timeout (orphan.c).
//
// # Service manager, pid file, version
//
// A Notifier tells a service manager how the server is doing, by the protocol of sd_notify(3): datagrams to a
// unix socket whose address is in the environment. It also feeds the manager's watchdog, as long as the server
// answers. It is in the process that the manager has started.
//
// A PIDFile keeps the number of this process in a file, where scripts and service managers look for the process
// to signal. A file of another process that runs is left alone.
//
// Version names the program in banners, in the field Server and in environments. build.sh sets the version
// when it links the executable.
package process
