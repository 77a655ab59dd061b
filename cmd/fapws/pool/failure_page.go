package pool

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"fapws/runtime/logfile"
)

// With Options.FailurePage, browsers get a page about code that does not load. Workers that serve receive it as a
// Notice. Before the first successful load, a worker without an application serves it.

// showFailure makes the page about the failure of w, and has it served.
func (p *Pool) showFailure(w *worker) {
	if p.o.FailurePage == nil {
		return
	}
	var said []byte
	if w != nil {
		said = w.stderrCapture.tail()
	}
	p.page = p.o.FailurePage(p.failure, said)
	shown := false
	for _, w := range p.workers {
		if w.state == Serving {
			p.sendPage(w)
		}
		shown = shown || w.page
	}
	if p.first() && !shown {
		if _, err := p.start(false, PageOnly); err != nil {
			p.o.Log(logfile.Error, fmt.Sprintf("cannot start a worker that shows it: %v", err))
		}
	}
}

// sendPage sends w the page if the last load failed.
func (p *Pool) sendPage(w *worker) {
	if p.page != nil {
		w.send(&Message{Kind: Notice, Raw: p.page})
	}
}

// servePage lets the worker with the page serve once it has started.
func (p *Pool) servePage(w *worker) {
	if !p.first() || p.stopping {
		w.end(Quit)
		return
	}
	if err := p.open(w.settled); err != nil {
		p.fail(err)
		return
	}
	w.setState(Serving)
	p.sendPage(w)
	p.share()
	p.o.Event(Event{Kind: PageUp})
}

// open opens the addresses of settled, and closes its sockets at other addresses.
func (p *Pool) open(settled *Settled) error {
	addresses, err := p.o.Open(settled)
	if err != nil {
		return err
	}
	for _, old := range p.addresses {
		if !slices.Contains(addresses, old) {
			old.Socket.Close()
		}
	}
	p.addresses = addresses
	return nil
}

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
	go func() {
		defer close(h.over)
		defer r.Close()
		_, _ = io.Copy(h, r) // until the last process has closed the other end
	}()
	return h, theirs, nil
}

// Write implements io.Writer.
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
	return bytes.Clone(h.text[max(0, len(h.text)-keptStderr):])
}
