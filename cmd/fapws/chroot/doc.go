// Package chroot puts a worker into a chroot(2), after it has loaded its application outside. The supervisor, which
// may chroot, calls Furnish and sets Variable; a worker is prepared before Go starts in it (chroot.c) and calls
// Enter, on any goroutine, once. Start reading at chroot.c.
//
// The application must not have the capability that chroot(2) needs. Capabilities belong to threads, and neither Go
// nor glibc makes all threads of a program with cgo give one up. So a constructor, while the new process has one
// thread, clones a keeper that shares only root and working directory with it (CLONE_FS), and drops the capability.
// When the application has loaded, the worker writes a byte; the keeper calls chroot(2) for both, and ends. Of the
// supervisor, only the main thread keeps CAP_SYS_CHROOT, not in force, for later workers; it stays outside, with pid
// file, control socket and listeners.
//
// Paths below the new root stay the same: Furnish makes a link in it that leads from its own name to itself, so
// /srv/www/log is /srv/www/log inside, too, and no code translates paths. contrib/fapws/_chroot.py imports modules
// that Python and handlers import late, and keeps the source of all modules for tracebacks; TZ gets the value of
// /etc/localtime (zone.go). Enter fails if the process has a directory outside open, which would be a way out, or a
// file there that it writes.
package chroot
