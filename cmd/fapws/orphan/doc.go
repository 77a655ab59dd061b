// Package orphan ends a process whose parent has died. A worker calls Watch, once, on the main thread.
//
// The other end of a pipe or socket reports that, too, but not to a process in which the application has closed the
// descriptor, or whose threads are all stuck. So the kernel reports it: a signal from PR_SET_PDEATHSIG arms a timer
// of the kernel's that kills the worker after the graceful timeout (orphan.c).
package orphan
