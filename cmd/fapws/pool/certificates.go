package pool

import (
	"fmt"
	"os"
	"strings"
	"time"

	"fapws/runtime/logfile"
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
				p.o.Log(logfile.Error, fmt.Sprintf("certificates are not renewed: %v", err))
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

// A worker runs the application, which may have been taken over by an attacker, and sandboxed or not it keeps its channel. So the
// supervisor, which is outside of the sandbox, lets a message change only its sender, apart from events, purges and counts of
// subscribers, which are for all workers; and it keeps no more of a worker than these bounds. A worker that exceeds them is killed.
const (
	maxReason   = 1000                // bytes of a line about a worker
	maxText     = 8 << 20             // bytes of an answer, and of the reason that a worker gives before it ends
	maxWant     = 1 << 20             // bytes of a question for certificates
	maxEvents   = 65 << 20            // bytes of events that are published at once
	pieceCost   = 64                  // bytes of memory in addition to a piece of them
	minEvent    = 4                   // bytes of an event
	maxCounted  = 32 << 20            // bytes of counts, see countCost
	maxName     = 1 << 10             // bytes of the name of a count
	maxCount    = 1 << 32             // subscribers of a channel
	maxQueries  = 32                  // questions of a worker that are answered at once
	maxUnread   = 2 * maxEvents       // bytes that wait for a worker
	messageCost = 1 << 10             // bytes of memory of the kernel in addition to a message
	maxGrace    = 30 * 24 * time.Hour // graceful timeout, shutdown delay
	leastIntake = 64 << 10            // bytes that a worker reads in the time of a stall
)

// countCost is about the memory of a count, in bytes.
func countCost(name string) int { return len(name) + 64 }

// distrust kills w because of a message, and ignores its others. did names the reason in the log.
func (w *worker) distrust(did string) {
	w.distrusted = true
	w.kill(did)
}

// believes reports whether a text of w may grow by another piece, up to limit bytes.
func (w *worker) believes(what, have, piece string, limit int) bool {
	if len(have)+len(piece) <= limit {
		return true
	}
	w.distrust(fmt.Sprintf("sent more than %d MiB of %s", limit>>20, what))
	return false
}

// brief returns the first line of a text for the log, or as much of it as is useful.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
