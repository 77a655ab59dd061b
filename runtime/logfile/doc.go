// Package logfile writes lines to files that are rotated and may be shared by several processes. Callers never wait for
// a disk. Access logs and the error logs of hosts use File; the error log of the server is descriptor 2 itself
// (Errors). File and Errors are safe for concurrent use.
//
// # Files that processes share
//
// Lines are buffered in memory, and a goroutine writes them. For each write it takes flock(2) on the file and checks
// that the path still leads to the file. A file that another process of fapws or logrotate has renamed therefore gets
// no lines after its lock becomes free, and can be compressed without a log server. If a full disk accepts only a part
// of a line, this part is truncated under the same lock. The gzip comment of a compressed file contains the name of the
// rotated file, so that another process can continue after an interruption at any point.
//
// # The error log
//
// Descriptor 2 is the file itself, not a pipe to a process that writes the file: the last lines of a crashing process
// must not depend on another process that reads them. Writers of descriptor 2 take no lock. Instead, each process holds
// a shared lock on the file while the file is its descriptor 2. Children inherit the lock. A rotated file is compressed
// when no process has it as descriptor 2. The supervisor rotates and notifies the workers; workers in a chroot receive
// the descriptor of the next file. The kernel reports growth (inotify), so that a flood of lines is rotated early.
// Compression pauses regularly but keeps its priority, because a suspended Go thread may hold a lock that other threads
// need.
//
// # Times
//
// AppendTime formats times as strftime(3) of glibc does in the C locale, including the conversions %k %l %P %s, the
// flags _ - 0 ^ # and a width. E and O have no effect. The access log and server-side includes use it.
//
// # Access logs
//
// format.go and atoms.go compile a format of Apache's and gunicorn's atoms to a list of functions, which make one line
// for each request. A Record keeps only the fields that the format names until the line is written. AccessLog is safe
// for concurrent use; Records belong to the event loop (exchange/log.go).
package logfile
