// Package system has the system calls that Linux does in one step and other systems in several, or not at all.
// Elsewhere a process that starts a child at the same moment waits until they are done (syscall.ForkLock), so no
// child inherits what they open.
//
// All packages may import it. All functions are safe for concurrent use.
package system
