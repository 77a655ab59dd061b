// Package sandbox takes from a process what a web application does not need: files outside a list (Landlock), TCP ports
// outside a list, unix sockets, signals to other processes, root's capabilities, new privileges (no_new_privs), and system calls
// that administer the machine (seccomp). A worker, or the loader of --fork, calls Enter once, when it has loaded its application; its children inherit the
// sandbox, and none of them can leave it. The supervisor stays outside, so that a reload can load other code. Missing
// says what the kernel cannot restrict; the supervisor reports it before it starts a worker. Start reading at rules.go.
//
// Landlock restricts a thread. go-landlock applies it to all threads of the process, with kernels before 7.0 by a signal
// to each (libpsx, with signal 33, which glibc lets no program block). Seccomp has a flag for that.
package sandbox
