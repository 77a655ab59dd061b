package settings

import (
	"os"
	"runtime"
	"sync"

	"fapws/cmd/fapws/confine"
)

const (
	// ownMemory is the memory that a server with Python and a small application needs without requests, in bytes.
	ownMemory = 32 << 20

	// workerMemory is the memory that each further worker needs without requests, in bytes.
	workerMemory = 12 << 20

	// handlerMemory is the memory for a running handler and its response, with reserve, in bytes.
	handlerMemory = 24 << 20

	// leastThreads is the number of threads that any memory permits, so that a slow handler does not delay all requests.
	leastThreads = 2
)

// Memory returns the memory of the machine or the control group, in bytes, or 0 if it is unknown.
var Memory = sync.OnceValue(func() int64 { return confine.MemoryLimit(os.DirFS("/")) })

// RequestMemory returns the memory that the requests of a worker may use, in bytes, or 0 if it is unknown.
func (c *Config) RequestMemory() int64 { return requestMemory(Memory(), c.WorkerCount()) }

func requestMemory(limit int64, workers int) int64 {
	return max(limit-ownMemory-int64(workers-1)*workerMemory, limit/4) / int64(workers)
}

// Processors returns the number of processors that this process and its workers can use, within the limits of the
// machine and the control groups.
func Processors() int { return confine.Processors(os.DirFS("/"), runtime.NumCPU()) }

// WorkerCount returns the number of workers: with --workers 0, one for each processor.
func (c *Config) WorkerCount() int {
	if c.Workers == 0 {
		return Processors()
	}
	return c.Workers
}

// limitThreads reduces the number n of threads if memory is small, because each running handler may make a large
// response. memory is the memory for requests, in bytes; 0 means unknown.
func limitThreads(n int, memory int64) int {
	if memory == 0 {
		return n
	}
	return min(n, int(max(leastThreads, memory/handlerMemory)))
}
