// Package system has the system calls that Linux does in one step and other systems in several, or not at all.
// Elsewhere a process that starts a child at the same moment waits until they are done (syscall.ForkLock), so no
// child inherits what they open.
//
// All packages may import it. All functions are safe for concurrent use.
//
// # Descriptors
//
// What the process has open: descriptors.go. A descriptor that has to outlive mistakes of the application, which closes
// others than its own, gets a high number (OpenHigh); that one is gone is noticed (runtime.Server.Intact).
package system
