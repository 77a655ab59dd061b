// Package privilege turns the names of users and groups into numbers, and gives up root for good: setgroups, setgid
// and setuid in all threads, and then a look at /proc whether each thread has lost root and cannot have it back
// (Assume). Packages supervisor and worker call it. Start reading at assume_linux.go.
//
// Without --user or --allow-root, root is refused, except in a container or where no other user exists
// (container.go): there a warning must do.
package privilege
