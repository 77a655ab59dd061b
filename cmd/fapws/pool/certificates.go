package pool

import (
	"fmt"
	"os"

	"fapws/runtime/loglevel"
)

// A worker asks the supervisor for certificates with their keys, which it may not be allowed to read itself. It gets a
// file in memory (SharedFile), never text in its environment or arguments, and another one when they have changed.

// wanted takes a piece of the question of w, and answers when that is complete. A worker asks once, before it enters its sandbox: later
// questions could be for the keys of others.
func (p *Pool) wanted(w *worker, m *Message) {
	if w.state != Starting || w.confined || w.wants != "" && !w.asking {
		w.distrust("asked for certificates after it had got those of its configuration")
		return
	}
	if !w.believes("a question", w.wants, m.Text, maxWant) {
		return
	}
	w.wants += m.Text
	if w.asking = m.More; !m.More {
		p.certificates(w)
	}
}

// certificates answers w, whose question is complete.
func (p *Pool) certificates(w *worker) {
	if p.o.Certificates == nil {
		w.send(&Message{Kind: Certificates, Text: "the supervisor has no certificates: stop it and start the new version"})
		return
	}
	f, err := p.o.Certificates(w.wants, false)
	if err != nil {
		w.send(&Message{Kind: Certificates, Text: err.Error()})
		return
	}
	defer f.Close()
	w.send(&Message{Kind: Certificates}, f)
}

// RenewCertificates lets workers have certificates that have changed. It is safe for concurrent use.
func (p *Pool) RenewCertificates() { p.post(p.renewCertificates) }

func (p *Pool) renewCertificates() {
	if p.o.Certificates == nil {
		return
	}
	renewed := map[string]*os.File{}
	for _, w := range p.workers {
		if w.wants == "" || w.asking || w.state == Dead {
			continue
		}
		f, known := renewed[w.wants]
		if !known {
			var err error
			if f, err = p.o.Certificates(w.wants, true); err != nil {
				p.o.Log(loglevel.Error, fmt.Sprintf("certificates are not renewed: %v", err))
			}
			renewed[w.wants] = f
		}
		if f != nil {
			w.send(&Message{Kind: Renewed}, f)
		}
	}
	for _, f := range renewed {
		if f != nil {
			f.Close()
		}
	}
}
