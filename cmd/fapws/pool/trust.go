package pool

import (
	"fmt"
	"strings"
	"time"
)

// A worker runs the application, which an attacker may control, and keeps its channel inside the sandbox. The
// supervisor runs outside of the sandbox. So it accepts only settings that a worker sent before Confined, and checks
// every message by the table trust. A message affects only its sender, except for events, purges and counts of
// subscribers, which are for all workers. The bounds below limit the data that the supervisor keeps of a worker. A
// worker that exceeds a bound is killed.

// verdict is how the supervisor treats a message. The zero value means that the message is ignored.
type verdict uint8

const (
	ignored verdict = iota // the message is too late or has no meaning
	obeyed
	forged // workers never send this message, so its sender is killed
)

type phase uint8

const (
	// No handler has run yet in this worker, or the worker has no application and is not Loaded.
	isLoading  phase = iota
	isEntering       // after Confined, before Loaded
	isLoaded         // after Loaded, while its generation is loading
	isServing
	isAsleep // Loaded without its application (Asleep)
	isWaking // the worker was asleep and has sent Confined
	isRetiring
	isEnding
	phases
)

func (ph phase) String() string {
	return [...]string{"loading", "entering its sandbox", "loaded", "serving",
		"asleep", "waking", "retiring", "ending"}[ph]
}

func (w *worker) phase() phase {
	switch {
	case w.state >= Ending:
		return isEnding
	case w.state == Retiring:
		return isRetiring
	case w.state == Starting && w.confined:
		return isEntering
	case w.state == Starting:
		return isLoading
	case w.asleep && w.confined:
		return isWaking
	case w.asleep || w.page:
		return isAsleep
	case w.state == Ready:
		return isLoaded
	}
	return isServing
}

// trust defines how the supervisor treats each message of a worker, by phase. Other kinds are ignored.
var trust = map[Kind][phases]verdict{
	//             loading  entering loaded   serving  sleeping waking   retiring ending
	Configured:   {obeyed, forged, forged, forged, obeyed, forged, ignored, ignored},
	Certificates: {obeyed, forged, forged, forged, forged, forged, ignored, ignored},
	Confined:     {obeyed, forged, forged, forged, obeyed, forged, ignored, ignored},
	Loaded:       {obeyed, obeyed, ignored, ignored, forged, obeyed, ignored, ignored},
	Started:      {forged, obeyed, ignored, ignored, ignored, ignored, ignored, ignored},
	Closed:       {forged, forged, forged, forged, forged, forged, obeyed, ignored},
	Checked:      {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, ignored},
	Unused:       {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, ignored},
	Recycle:      {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, ignored, ignored},
	Answer:       {ignored, ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Failing:      {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Ask:          {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	LastWords:    {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Join:         {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, ignored, ignored},
	Publish:      {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Counts:       {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Purge:        {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
}

// trusts reports whether the supervisor handles m. trusts kills the sender of a forged message.
func (w *worker) trusts(m *Message) bool {
	if w.distrusted {
		return false
	}
	now := w.phase()
	do := trust[m.Kind][now]
	if do == forged {
		w.distrust(fmt.Sprintf("sent the message %q while it was %s", m.Kind, now))
	}
	return do == obeyed
}

const (
	maxReason   = 1000     // bytes of a line about a worker
	maxText     = 8 << 20  // bytes of an answer, and of last words
	maxWant     = 1 << 20  // bytes of a question for certificates, and of settings
	maxEvents   = 65 << 20 // bytes of events that are published together
	minEvent    = 4        // bytes of an event at least
	maxCounted  = 32 << 20 // bytes of all counts: see countCost
	maxName     = 1 << 10  // bytes of the name of a count
	maxCount    = 1 << 32
	maxQueries  = 32            // questions of a worker that are answered at the same time
	maxUnread   = 2 * maxEvents // bytes queued for a worker
	maxGrace    = 30 * 24 * time.Hour
	leastIntake = 8 << 10 // bytes that a worker must read between two urgent checks
)

// countCost returns the memory of a count, in bytes.
func countCost(name string) int { return len(name) + 64 }

func (w *worker) distrust(did string) {
	w.distrusted = true
	w.kill(did)
}

// believes reports whether m has at most limit bytes. If m is larger, believes kills the worker w. The parameter what
// names the bytes in the log.
func (w *worker) believes(what string, m *Message, limit int) bool {
	if len(m.Raw) <= limit {
		return true
	}
	w.distrust(fmt.Sprintf("sent more than %d MiB of %s", limit>>20, what))
	return false
}

func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
