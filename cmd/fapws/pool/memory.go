package pool

import (
	"fmt"
	"time"

	"fapws/cmd/fapws/memory"
)

// memoryEvery is how often the memory of workers is looked at.
const memoryEvery = 2 * time.Second

// lookAtMemory replaces workers that have more than MaxRSS.
func (s *Pool) lookAtMemory() {
	for _, p := range s.slots {
		if p.worker == nil {
			continue
		}
		if rss := memory.Resident(p.worker.pid); rss > s.o.MaxRSS {
			s.worn(p.worker, fmt.Sprintf("has %d MiB of memory", rss>>20))
		}
	}
}
