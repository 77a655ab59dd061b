// Package system has the system calls that Linux does in one step and other systems in several, or not at all.
// Elsewhere a process that starts a child at the same moment waits until they are done (syscall.ForkLock), so no
// child inherits what they open.
//
// All packages may import it. All functions are safe for concurrent use.
//
// # Sockets and files that do not wait
//
// This part of the package has the system calls of connections that do not block: receive, send, sendfile and their vectors. It
// knows no connections; packages conn, tunnel, accept and sse use it, and any goroutine may.
//
// They are raw system calls with MSG_DONTWAIT, because they do not wait: Go's scheduler need not know about them,
// which saves a twentieth of their cost. For files it matters more: with ordinary calls each piece woke the thread
// that watches over system calls.
//
// # Descriptors of the server
//
// This part of the package lists the descriptors of the server, so that an application in the same process cannot close
// them: pybridge/core_descriptors.c has the functions of libc that Python closes descriptors with, and they look into the
// table of this package. Every package that opens a descriptor for long registers it here; all functions are safe for
// concurrent use.
//
// An entry made by Keep holds the inode of the file. When the kernel reuses the number for another file, the entry
// protects nothing, so the server need not report that it has closed a descriptor. Files on a disk are the exception:
// their inodes are reused soon, so they need Release. For a connection the list costs two stores in memory and no
// system call.
//
// Go closes descriptors by system calls, which do not pass through libc. A child process may close everything.
package system
