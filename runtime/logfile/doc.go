// Package logfile writes lines to files that are rotated and may be shared by several processes. Callers never wait for
// a disk. Access logs and the error logs for single hosts use File; the server's error log is descriptor 2 itself
// (Errors). File and Errors are safe for concurrent use.
//
// # Files that processes share
//
// Lines are buffered in memory, and a goroutine writes them. For each write, the goroutine locks the file with flock(2)
// and checks that the path still leads to this file. If another process or logrotate has renamed the file, the
// goroutine writes to the new file at the path. A renamed file whose lock is free can therefore be compressed. No
// process needs to collect the lines of all processes. If a full disk accepts only a part of a line, this part is
// removed before the lock is released.
//
// # The error log
//
// Descriptor 2 is the file itself, not a pipe to a process that writes the file, because the last lines of a crashing
// process must not depend on a different process. Writers of descriptor 2 do not lock the file for each write. Instead,
// each process and its children hold a shared lock on the file as long as it is their descriptor 2. A rotated file is
// compressed when no process has it as descriptor 2. The supervisor rotates the file and notifies the workers; workers
// in a chroot receive a descriptor of the new file. The kernel reports growth of the file (inotify), so that the file
// is rotated early during a flood of lines.
//
// # Times
//
// AppendTime formats times like strftime(3) in glibc with the C locale, including the conversions %k %l %P %s, the
// flags _ - 0 ^ # and a width. The modifiers E and O have no effect.
//
// # Access logs
//
// format.go and atoms.go compile a format of Apache's and gunicorn's atoms to a list of functions, which make one line
// for each request. A Record contains only the header fields that the format names. AccessLog is safe for concurrent
// use; Records belong to the event loop (exchange/log.go).
package logfile
