// Package sigmask deals with signals that a process finds blocked when it starts. Importing it has effects, before
// Go's runtime starts: a worker unblocks the control signals of a supervisor, and a supervisor that takes over at an
// upgrade ignores HUP, TTIN and TTOU until it catches them. Package supervisor imports it.
package sigmask
