package pool

import (
	"bytes"
	"os"
	"sync"
	"time"
)

// With Options.FailureNotice, clients see why code fails to load.

const keptStderr = 32 << 10 // in bytes

// stderrCapture forwards the standard error of a loading worker and keeps its last bytes.
type stderrCapture struct {
	mu   sync.Mutex
	text []byte
}

func (h *stderrCapture) Write(text []byte) (int, error) {
	_, _ = os.Stderr.Write(text)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, text...)
	if len(h.text) > 2*keptStderr {
		h.text = bytes.Clone(h.text[len(h.text)-keptStderr:])
	}
	return len(text), nil
}

// saidWithin limits the time from a worker's message that its application has failed to load until the worker's
// standard error is here. The worker has written it before the message, but to a pipe that another goroutine reads.
const (
	saidWithin = time.Second
	saidEvery  = 5 * time.Millisecond
)

// whenSaid calls f when the standard error of w contains why the application has failed to load, or at the time
// deadline.
func (p *Pool) whenSaid(w *worker, deadline time.Time, f func()) {
	if w.stderrCapture == nil || bytes.Contains(w.stderrCapture.tail(), []byte(w.reason)) || time.Now().After(deadline) {
		f()
		return
	}
	p.after(saidEvery, func() { p.whenSaid(w, deadline, f) })
}

func (h *stderrCapture) tail() []byte {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.text[max(0, len(h.text)-keptStderr):])
}
