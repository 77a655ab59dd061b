// Package confine takes from a process what it does not need: root, the files outside a directory (chroot), and by the
// sandbox most else; and it keeps to the limits that the system sets: processes, descriptors, memory, processors.
// Packages supervisor and worker call it. Start reading at privilege.go.
//
// # User and group
//
// Names of users and groups become numbers, and root is given up for good: setgroups, setgid and setuid in all threads, and
// then a look at /proc whether each thread has lost root and cannot have it back (Assume).
//
// Without --user or --allow-root, root is refused, except in a container or where no other user exists
// (identity.go): there a warning must do.
//
// # Chroot
//
// A worker enters a chroot(2) after it has loaded its application outside. The supervisor, which
// may chroot, calls FurnishChroot and sets ChrootVariable; a worker is prepared before Go starts in it (chroot.c) and calls
// EnterChroot, on any goroutine, once. Start reading at chroot.c.
//
// The application must not have the capability that chroot(2) needs. Capabilities belong to threads, and neither Go
// nor glibc makes all threads of a program with cgo give one up. So a constructor, while the new process has one
// thread, clones a keeper that shares only root and working directory with it (CLONE_FS), and drops the capability.
// When the application has loaded, the worker writes a byte; the keeper calls chroot(2) for both, and ends. Of the
// supervisor, only the main thread keeps CAP_SYS_CHROOT, not in force, for later workers; it stays outside, with pid
// file, control socket and listeners.
//
// Paths below the new root stay the same: FurnishChroot makes a link in it that leads from its own name to itself, so
// /srv/www/log is /srv/www/log inside, too, and no code translates paths. contrib/fapws/_chroot.py imports modules
// that Python and handlers import late, and keeps the source of all modules for tracebacks; TZ gets the value of
// /etc/localtime (identity.go). EnterChroot fails if the process has a directory outside open, which would be a way out, or a
// file there that it writes.
//
// # Sandbox
//
// The sandbox takes from a process what a web application does not need: files outside a list (Landlock), TCP ports
// outside a list, unix sockets, signals to other processes, root's capabilities, new privileges (no_new_privs), and system calls
// that administer the machine (seccomp). A worker, or the loader of --fork, calls EnterSandbox once, when it has loaded its application; its children inherit the
// sandbox, and none of them can leave it. The supervisor stays outside, so that a reload can load other code. MissingInSandbox
// says what the kernel cannot restrict; the supervisor reports it before it starts a worker. Start reading at rules.go.
//
// Landlock restricts a thread. go-landlock applies it to all threads of the process, with kernels before 7.0 by a signal
// to each (libpsx, with signal 33, which glibc lets no program block). Seccomp has a flag for that.
//
// # Limits of the process
//
// A constructor in C (limits.c) ends the process with one line if a limit of the process (ulimit, setrlimit(2), pids or memory
// cgroup) leaves too little for Go's runtime and Python, which would end in a dump of all threads, often before main,
// or a traceback. It runs before Go's runtime starts, in every process that imports this package.
//
// It maps the memory that a start needs (with 64 bits 1.6 GiB of address space, of which Go's allocator reserves 1.1
// GiB for tables that it hardly touches), starts and ends as many threads where the limit of processes is low, and
// writes the line if that fails. Under a limit of memory glibc gets two arenas instead of one for each thread, since
// each reserves 64 MiB. In a test of each limit over four modes, the server either serves or ends with one line; a
// stack of 8 KiB and a data limit below the executable's 35 MB end in the kernel, before any code of the process
// runs. With a limit of 24 MiB of memory all modes serve a hello; two workers need 23 MiB, a single process 10.
//
// # Control groups and memory
//
// memory.go finds the control groups of this process (cgroups(7)), of version 1 and 2, the processors that they let
// it use, and their limits of memory. All these functions are safe for concurrent use.
//
// The memory of a process is kept small: UseLittleMemory sets the garbage collector for small machines (memory.go), and a Trimmer
// gives memory back to the kernel while no client is connected, and after a burst of work.
//
// An idle hello server has 6 MB of private memory, one without Python 3. Resident, with the pages of files that it maps, it
// has 11 MB instead of 21 after the start, and instead of 17 after a load. A worker that is asleep
// (--idle-stop) has 4.5 MB of its own.
package confine
