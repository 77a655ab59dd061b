// Package sigmask deals with signals that a process finds blocked when it starts. Importing it has effects, before
// Go's runtime starts: a worker unblocks the control signals of a supervisor, and a supervisor that takes over at an
// upgrade keeps those that arrive until it catches them: HUP, TTIN and TTOU must not end it, and TERM, INT and QUIT must
// end it in order. Package supervisor imports it.
//
// A few milliseconds remain, from when Go handles signals until it initializes this package. A TERM or INT then ends the
// supervisor at once with status 0, and its workers end in order, as if it had died; a QUIT ends it with Go's dump, and
// a HUP is lost.
package sigmask
