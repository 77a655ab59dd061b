// Package limits ends the process with one line if a limit of the process (ulimit, setrlimit(2), pids or memory
// cgroup) leaves too little for Go's runtime and Python, which would end in a dump of all threads, often before main,
// or a traceback. A process need only import it: a C constructor (limits.c) checks the limits before Go's runtime
// starts.
//
// It maps the memory that a start needs (with 64 bits 1.6 GiB of address space, of which Go's allocator reserves 1.1
// GiB for tables that it hardly touches), starts and ends as many threads where the limit of processes is low, and
// writes the line if that fails. Under a limit of memory glibc gets two arenas instead of one for each thread, since
// each reserves 64 MiB. In a test of each limit over four modes, the server either serves or ends with one line; a
// stack of 8 KiB and a data limit below the executable's 35 MB end in the kernel, before any code of the process
// runs. With a limit of 24 MiB of memory all modes serve a hello; two workers need 23 MiB, a single process 10.
package limits
