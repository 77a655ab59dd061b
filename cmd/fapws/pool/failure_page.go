package pool

import (
	"bytes"
	"fmt"
	"os"
	"sync"

	"fapws/runtime/logfile"
)

// With Options.FailurePage, browsers see a page about code that fails to load. Serving workers receive the page as a
// Notice. Before the first successful load, a worker without an application serves it.

// showFailure tells the workers about the failure of w, which may be nil.
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

func (p *Pool) sendPage(w *worker) {
	if p.page != nil {
		w.send(&Message{Kind: Notice, Raw: p.page})
	}
}

func (p *Pool) servePage(w *worker) {
	if !p.first() || p.stopping {
		w.end(Quit)
		return
	}
	if !p.open(w) {
		return
	}
	w.setState(Serving)
	p.sendPage(w)
	p.share()
	p.o.Event(PageUp, "")
}

const keptStderr = 32 << 10

// A nil stderrCapture is empty.
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
