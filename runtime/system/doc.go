// Package system has the system calls that Linux does in one step and other systems in several, or not at all.
// Elsewhere a process that starts a child at the same moment waits until they are done (syscall.ForkLock), so no
// child inherits what they open.
//
// All packages may import it. All functions are safe for concurrent use.
//
// # Sockets and files that do not wait
//
// This part of the package has the system calls of connections that do not block: receive, send, sendfile and their vectors. It
// knows no connections; packages conn and live use it, and any goroutine may.
//
// They are raw system calls with MSG_DONTWAIT, because they do not wait: Go's scheduler need not know about them,
// which saves a twentieth of their cost. For files it matters more: with ordinary calls each piece woke the thread
// that watches over system calls.
//
// # Descriptors
//
// What the process has open: descriptors.go. A descriptor that has to outlive mistakes of the application, which closes
// others than its own, gets a high number (OpenHigh); that one is gone is noticed (runtime.Server.Intact).
package system
