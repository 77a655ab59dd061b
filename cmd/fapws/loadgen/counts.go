package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longest is the longest latency that is told from longer ones.
const longest = int64(time.Hour)

// counts are the measurements of a run. Latencies are in nanoseconds, to three digits.
type counts struct {
	latency  *hdrhistogram.Histogram
	statuses [1000]int64
	failures map[string]int64 // requests without a response, by reason
	refused  map[string]int64 // connections that could not be opened, by reason
	received int64            // bytes of responses, with their heads
	finished int64            // responses
	inTime   int64            // those before the end of the run
	unsent   int64            // requests that were due and never sent
	last     time.Duration    // when the last response came
	late     time.Duration    // how late the generator was at most
}

func newCounts() counts {
	return counts{latency: hdrhistogram.New(1, longest, 3), failures: map[string]int64{}, refused: map[string]int64{}}
}

func (c *counts) record(latency time.Duration) {
	_ = c.latency.RecordValue(max(1, min(int64(latency), longest))) // which is in its range
}

// add adds those of another generator.
func (c *counts) add(o *counts) {
	c.latency.Merge(o.latency)
	for i, n := range o.statuses {
		c.statuses[i] += n
	}
	for reason, n := range o.failures {
		c.failures[reason] += n
	}
	for reason, n := range o.refused {
		c.refused[reason] += n
	}
	c.received += o.received
	c.finished += o.finished
	c.inTime += o.inTime
	c.unsent += o.unsent
	c.last = max(c.last, o.last)
	c.late = max(c.late, o.late)
}
