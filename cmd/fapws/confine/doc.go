// Package confine removes rights that a process does not need: root, files outside of a directory (chroot), and most
// other rights by the sandbox. Package confine also adapts to limits of the system: processes, descriptors, memory,
// processors.
//
// # User and group
//
// Names of users and groups are converted to numbers, and root is given up permanently by setgroups, setgid and setuid
// in all threads. Then /proc is checked: no thread may be root or able to become root (Assume).
//
// Without --user or --allow-root, root is refused, except in a container or if no other user exists (identity.go). Then
// a warning is logged.
//
// # Chroot
//
// A worker enters a chroot(2) after it has loaded its application outside. The supervisor, which may chroot, calls
// FurnishChroot and sets ChrootVariable; a worker is prepared before Go starts in it (chroot.c) and calls EnterChroot,
// on any goroutine, once.
//
// The application must not have the capability that chroot(2) needs. Capabilities belong to threads, and neither Go nor
// glibc can remove one from all threads of a program with cgo. So a constructor, which runs while the new process has
// one thread, clones a keeper that shares only root and working directory with the process (CLONE_FS), and drops the
// capability. When the application has loaded, the worker writes a byte; the keeper calls chroot(2) for both, and ends.
// In the supervisor, only the main thread keeps CAP_SYS_CHROOT for later workers, in its permitted set. The supervisor
// stays outside, with pid file, control socket and listeners.
//
// Paths below the new root stay the same: FurnishChroot makes a link inside the root from the path of the root to the
// root itself, so /srv/www/log is valid both inside and outside, and no code translates paths. contrib/fapws/_chroot.py
// imports modules that Python and handlers import late, and keeps the source of all modules for tracebacks; TZ gets the
// value of /etc/localtime (identity.go). EnterChroot fails if the process has an open directory outside, through which
// it could leave the root directory, or writes to a file outside.
//
// # Sandbox
//
// The sandbox removes rights that a web application does not need: files outside a list (Landlock), TCP ports outside a
// list, unix sockets, signals to other processes, root's capabilities, new privileges (no_new_privs), and system calls
// that administer the machine (seccomp). A worker, or the loader of --fork, calls EnterSandbox once, when it has loaded
// its application. Children of a sandboxed process inherit the sandbox and cannot leave it. The supervisor stays
// outside, so that a reload can load other code. MissingInSandbox returns the restrictions that the kernel does not
// support; the supervisor logs them before it starts a worker.
//
// Landlock restricts a thread. go-landlock applies it to all threads of the process. Before Linux 7.0, it sends a
// signal to each thread (libpsx, signal 33, which programs cannot block with glibc).
//
// # Limits of the process
//
// A constructor in C (limits.c) ends the process with one line if a limit of the process (ulimit, setrlimit(2), pids or
// memory cgroup) leaves too little for Go's runtime and Python, which would end in a dump of all threads, often before
// main, or a traceback. It runs before Go's runtime starts, in every process that imports this package.
//
// It maps the memory that a start needs, most of which Go's allocator only reserves. If the limit of processes is low,
// the code also starts and ends the necessary threads. It writes the line if that fails. Under a limit of memory, glibc
// uses two arenas instead of one for each thread, because each reserves 64 MiB of address space. If the limit of the
// stack or data is too low for the executable, the kernel ends the process before any of its code runs.
//
// # Control groups and memory
//
// memory.go finds the control groups of this process (cgroups(7)), of version 1 and 2, the processors that they let it
// use, and their limits of memory. All these functions are safe for concurrent use.
//
// UseLittleMemory configures the garbage collector for small machines (memory.go). A Trimmer returns memory to the
// kernel while no client is connected, and after a burst of work.
package confine
