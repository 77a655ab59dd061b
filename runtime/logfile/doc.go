// Package logfile writes lines to files that are rotated, and that several processes may share, without ever making
// the caller wait for a disk. Access logs and error logs of hosts use File; the error log of a server is descriptor 2
// itself (Errors). Its methods are safe for concurrent use. Start reading at file.go.
//
// # Files that processes share
//
// Lines gather in memory and a goroutine writes them. For each write it takes flock(2) on the file and checks whether
// the path still leads to it. So a file that was renamed, by another process of ours or by logrotate, gets no line
// any more once the lock on it can be had, and may be compressed; no server for logs is needed. The bytes of a line
// that a full disk has taken are taken back under the same lock. The comment of the .gz has the name of the rotated
// file, so a process that is interrupted at any point can be continued by another one.
//
// # The error log
//
// Descriptor 2 is the file itself, not a pipe to a process that writes: the last words of a crashing process must not
// depend on another one that reads. Writers of descriptor 2 take no lock. Instead each process holds a shared lock on
// the file for as long as it is its descriptor 2, which children inherit: a rotated file is compressed when the last
// of them has moved on. The supervisor rotates, and tells the workers, those in a chroot with the descriptor of the
// next file. The kernel reports growth (inotify), so a flood of lines is rotated as it comes. Compressing pauses now and then and
// keeps its priority: a thread of Go that does not run may hold something that others wait for.
//
// # Severities
//
// Level is the severity of a log line, which all packages of the server share.
//
// # Times
//
// strftime.go formats times as strftime(3) of glibc does in the C locale, with its conversions %k %l %P %s, its
// flags _ - 0 ^ # and a width; E and O have no effect. It does no I/O and is safe for concurrent use. The access log
// and server-side includes use it.
//
// # Access logs
//
// format.go and atoms.go make one line for each request, in a format of Apache's and gunicorn's atoms. A format is
// compiled to a list of functions, and a Record keeps only the fields that the format names, until the line can be
// written. Package logfile brings lines to files. Log is safe for concurrent use; Records belong to the event loop
// (exchange/log.go). Start reading at format.go.
//
// With a log, a hello costs 1.1 times its CPU without one (./build.sh bench log): one flock, two stat and one write
// for each 32 KiB.
package logfile
