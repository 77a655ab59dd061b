package pool

import (
	"testing"
	"time"
)

// A question to a worker that is asked while the program is being replaced does not keep it from being replaced.
func TestHandOverAfterAQuestion(t *testing.T) {
	w := &worker{idle: true}
	w.out.draining = true // the question is on its way
	p := &Pool{handing: true, workers: map[int]*worker{1: w}, events: make(chan func(), 1)}
	p.maybeHandOver()
	w.out.mu.Lock()
	w.out.end(w)
	w.out.mu.Unlock()
	select {
	case <-p.events:
	case <-time.After(patience):
		t.Error("it does not go on when the question was sent")
	}
}
