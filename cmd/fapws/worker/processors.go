package worker

import (
	"os"
	goruntime "runtime"

	"fapws/cmd/fapws/confine"
)

// leastProcessors is how many goroutines Go may run at once, at least. With one,
// Go's monitor takes the processor from every system call, and inline from every
// handler, that lasts 20 µs, and looks out for the next one 6000 times a second:
// 6 % of the CPU of a JSON handler with threads, a quarter more inline, on a
// machine with one core. With an idle processor beside it, they are left alone for
// 10 ms.
const leastProcessors = 2

// useProcessors sets GOMAXPROCS, unless the environment does.
func useProcessors() {
	if os.Getenv("GOMAXPROCS") == "" && goruntime.GOMAXPROCS(0) < leastProcessors {
		goruntime.GOMAXPROCS(leastProcessors)
	}
}

// Processors is the number of processors that this process and its workers may use, as the machine and its control groups
// limit it: that of workers for --workers 0.
func Processors() int { return confine.Processors(os.DirFS("/"), goruntime.NumCPU()) }
