package worker

import (
	"os"
	goruntime "runtime"
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
