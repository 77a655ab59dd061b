package pool

import (
	"bytes"
	"os"
	"sync"
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

func (h *stderrCapture) tail() []byte {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.text[max(0, len(h.text)-keptStderr):])
}
