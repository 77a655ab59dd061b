// Package descriptors lists the descriptors of the server, so that an application in the same process cannot close
// them: pybridge/descriptors.c has the functions of libc that Python closes descriptors with, and they look into the
// table of this package. Every package that opens a descriptor for long registers it here; all functions are safe for
// concurrent use.
//
// An entry made by Keep holds the inode of the file. When the kernel reuses the number for another file, the entry
// protects nothing, so the server need not report that it has closed a descriptor. Files on a disk are the exception:
// their inodes are reused soon, so they need Release. For a connection the list costs two stores in memory and no
// system call.
//
// Go closes descriptors by system calls, which do not pass through libc. A child process may close everything.
package descriptors
