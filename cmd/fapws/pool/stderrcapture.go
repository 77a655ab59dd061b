package pool

import (
	"os"
	"sync"
	"time"
)

const (
	// keptStderr is the number of bytes that are kept: the end of the output.
	keptStderr = 32 << 10

	// stderrWithin is the maximum wait for the end of a dead worker's output: its children may hold its standard error
	// open. lastMessages is the same for its channel, which its children do not inherit.
	stderrWithin = 200 * time.Millisecond
	lastMessages = time.Second
)

// stderrCapture passes on the standard error of a worker that has not loaded, and keeps the end of it. A nil
// stderrCapture has no output.
type stderrCapture struct {
	mu   sync.Mutex
	text []byte
	over chan struct{} // closed when the output has ended
}

// captureStderr starts to read the pipe theirs, which is for the standard error of a worker.
func captureStderr() (h *stderrCapture, theirs *os.File, err error) {
	r, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	h = &stderrCapture{over: make(chan struct{})}
	go h.listen(r)
	return h, theirs, nil
}

func (h *stderrCapture) listen(r *os.File) {
	defer close(h.over)
	defer r.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		_, _ = os.Stderr.Write(buf[:n])
		h.mu.Lock()
		h.text = append(h.text, buf[:n]...)
		if len(h.text) > 2*keptStderr {
			h.text = append([]byte(nil), h.text[len(h.text)-keptStderr:]...)
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// end waits up to stderrWithin for the end of the output.
func (h *stderrCapture) end() {
	if h == nil {
		return
	}
	select {
	case <-h.over:
	case <-time.After(stderrWithin):
	}
}

// tail returns the end of the output.
func (h *stderrCapture) tail() []byte {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]byte(nil), h.text[max(0, len(h.text)-keptStderr):]...)
}
