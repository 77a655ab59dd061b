// Package confine removes rights that a process does not need: it gives up root, enters a root directory (chroot) so
// that other files are inaccessible, and enters a sandbox. Package confine also adapts the process to limits on
// processes, memory and processors.
//
// # User and group
//
// The names of the user and the group are converted to numeric IDs. All threads then give up root permanently with
// setgroups, setgid and setuid. Finally, Assume checks that the process cannot become root again.
//
// Without --user or --allow-root, a process does not start as root. In a container, or if the system has no user except
// root, the process starts and logs a warning (identity.go).
//
// # Chroot
//
// A worker first loads its application outside the new root directory and then enters the directory with chroot(2). The
// supervisor calls FurnishChroot and sets ChrootVariable for its workers.
//
// The application must not have the capability that chroot(2) needs. Capabilities belong to threads, and neither Go nor
// glibc can remove a capability from all threads of a program with cgo. Therefore a C constructor runs while the new
// process has only one thread. The constructor clones a second process, the keeper, and then drops the capability from
// the worker. The keeper shares only the root directory and the working directory with the worker (CLONE_FS). When the
// application has loaded, the worker writes a byte to the keeper. The keeper then calls chroot(2), which affects both
// processes, and ends. In the supervisor, only the main thread keeps CAP_SYS_CHROOT, in its permitted set, to start
// further workers. The supervisor itself stays outside the new root directory, with the pid file, the control socket
// and the listeners.
//
// Paths below the new root directory stay valid, so no code translates paths: FurnishChroot creates a symbolic link
// inside the root directory, such as /srv/www, that leads to the root directory itself. Python cannot import modules or
// read source files outside the root directory. Therefore contrib/fapws/_chroot.py imports, before the chroot, modules
// that are usually imported late, and keeps the source of all modules for tracebacks.
//
// # Sandbox
//
// The sandbox denies access to files and TCP ports that are not listed (Landlock), and to unix sockets. The sandbox
// also denies signals to processes outside the sandbox, root's capabilities, new privileges (no_new_privs), and system
// calls that administer the machine (seccomp). A worker, or with --fork the loader, calls EnterSandbox once, after it
// has loaded its application. Child processes inherit the sandbox and cannot leave it. The supervisor stays outside the
// sandbox, so that a reload can load new code.
//
// Landlock restricts only the calling thread. The package go-landlock therefore applies Landlock to every thread of the
// process. Before Linux 7.0, go-landlock does so with a signal to each thread (libpsx, signal 33, which glibc does not
// let programs block).
//
// # Limits of the process
//
// If a limit on the process (ulimit, setrlimit(2), or a control group for pids or memory) is too low for Go's runtime
// and Python, the start would fail with a traceback or a dump of all threads, often before the function main. To
// prevent this, a C constructor (limits.c) checks the limits and ends the process with a one-line message. The
// constructor runs before Go's runtime starts, in every process that imports this package.
//
// If the limit on the stack or on data is too low for the executable, the kernel ends the process before any of its
// code runs.
//
// # Control groups and memory
//
// The file memory.go finds the control groups of this process, in version 1 and version 2 (cgroups(7)). The functions
// in memory.go return the number of processors that this process can use, and the memory limit. The parameter root of
// the functions is the root directory. The functions are safe for concurrent use.
//
// A Trimmer returns memory to the kernel while no client is connected, and after a burst of work.
package confine
