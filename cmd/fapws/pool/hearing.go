package pool

import (
	"os"
	"sync"
	"time"
)

const (
	// keptWords is how many bytes of what a worker writes are kept: the end.
	keptWords = 32 << 10

	// lastWords is how long the end of what a worker wrote is waited for, once it has
	// died: a child of its own may live on with its standard error. lastMessages is the
	// same for its channel, which no program has that it starts.
	lastWords    = 200 * time.Millisecond
	lastMessages = time.Second
)

// hearing passes on what a worker writes to standard error before it has
// loaded, and keeps the end of it.
type hearing struct {
	mu   sync.Mutex
	text []byte
	over chan struct{} // closed when nobody can write any more
}

// hear returns the standard error for a worker.
func hear() (h *hearing, theirs *os.File, err error) {
	r, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	h = &hearing{over: make(chan struct{})}
	go h.listen(r)
	return h, theirs, nil
}

func (h *hearing) listen(r *os.File) {
	defer close(h.over)
	defer r.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		_, _ = os.Stderr.Write(buf[:n])
		h.mu.Lock()
		h.text = append(h.text, buf[:n]...)
		if len(h.text) > 2*keptWords {
			h.text = append([]byte(nil), h.text[len(h.text)-keptWords:]...)
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// end waits until all was heard, for a moment.
func (h *hearing) end() {
	if h == nil {
		return
	}
	select {
	case <-h.over:
	case <-time.After(lastWords):
	}
}

// words returns what was heard last.
func (h *hearing) words() []byte {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]byte(nil), h.text[max(0, len(h.text)-keptWords):]...)
}
