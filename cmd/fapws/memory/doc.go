// Package memory keeps the memory of a process small: it sets the garbage collector for small machines (trimmer.go), and a Trimmer
// gives memory back to the kernel while no client is connected. It also reads the limits of control groups, and
// whether the kernel has killed for want of memory. Packages worker and pool use it. Its functions are safe for
// concurrent use.
//
// An idle hello server has 7 MB of private memory, one without Python 3. Resident, with the pages of files that it maps, it
// has 11 MB instead of 21 after the start, and instead of 17 after a load. A worker that is asleep
// (--idle-stop) has 4.5 MB of its own.
package memory
