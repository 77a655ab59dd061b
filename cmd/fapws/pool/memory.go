package pool

import (
	"fmt"
	"time"

	"fapws/cmd/fapws/memory"
)

// memoryEvery is how often the memory of workers is looked at.
const memoryEvery = 2 * time.Second

// lookAtMemory replaces workers that have more than MaxRSS.
func (p *Pool) lookAtMemory() {
	for _, s := range p.slots {
		if s.worker == nil {
			continue
		}
		if rss := memory.Resident(s.worker.pid); rss > p.o.MaxRSS {
			p.recycle(s.worker, fmt.Sprintf("%d MiB of memory exceed max-rss", rss>>20))
		}
	}
}
