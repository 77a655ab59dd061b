package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// memoryEvery is how often the memory of workers is looked at.
const memoryEvery = 2 * time.Second

// lookAtMemory replaces workers that have more than MaxRSS.
func (s *Supervisor) lookAtMemory() {
	for _, p := range s.slots {
		if p.worker == nil {
			continue
		}
		if rss := resident(p.worker.pid); rss > s.o.MaxRSS {
			s.worn(p.worker, fmt.Sprintf("has %d MiB of memory", rss>>20))
		}
	}
}

// resident returns the resident bytes of a process, or 0.
func resident(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
