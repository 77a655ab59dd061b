package pool

import (
	"fmt"
	"strings"
	"time"
)

// A worker runs the application, which an attacker may have taken over, and it keeps its channel inside the sandbox.
// The supervisor is outside of
// the sandbox. So it acts only on settings that a worker sent before it was Confined, and judges every message by the
// table trust. A message
// changes only its sender, apart from events, purges and counts of subscribers, which are for all workers. The
// supervisor keeps no more of a
// worker than the bounds below, and kills a worker that exceeds them.

// verdict is what the supervisor does with a message. The zero value ignores it.
type verdict uint8

const (
	ignored verdict = iota // it comes too late, or means nothing
	obeyed
	forged // no worker sends it: its sender is killed
)

// phase is a part of a worker's life, for the table trust.
type phase uint8

const (
	isLoading  phase = iota // no handler has run; also a worker without application before Loaded
	isEntering              // Confined, not Loaded
	isLoaded                // Loaded, and other workers of its generation are not
	isServing
	isAsleep // Loaded without its application (Asleep)
	isWaking // Confined after it slept
	isRetiring
	isEnding
	phases // their number
)

// String is used in the log.
func (ph phase) String() string {
	return [...]string{"loading", "entering its sandbox", "loaded", "serving",
		"asleep", "waking", "retiring", "ending"}[ph]
}

// phase returns the phase of w.
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

// trust says what the supervisor does with each message of a worker, by its phase. Kinds that are not in it are
// ignored.
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

// trusts reports whether the supervisor obeys m. It kills a worker that sends what no worker sends.
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

// Bounds of what the supervisor keeps of a worker.
const (
	maxReason   = 1000                // bytes of a line about a worker
	maxText     = 8 << 20             // bytes of an answer, and of the reason that a worker gives before it ends
	maxWant     = 1 << 20             // bytes of a question for certificates, and of settings
	maxEvents   = 65 << 20            // bytes of events that are published at once
	minEvent    = 4                   // bytes of an event
	maxCounted  = 32 << 20            // bytes of counts, see countCost
	maxName     = 1 << 10             // bytes of the name of a count
	maxCount    = 1 << 32             // subscribers of a channel
	maxQueries  = 32                  // questions of a worker that are answered at once
	maxUnread   = 2 * maxEvents       // bytes that wait for a worker
	maxGrace    = 30 * 24 * time.Hour // graceful timeout, shutdown delay
	leastIntake = 8 << 10             // bytes that a worker reads between two checks when it is urgent
)

// countCost is about the memory of a count, in bytes.
func countCost(name string) int { return len(name) + 64 }

// distrust kills w because of a message, and ignores its others. did names the reason in the log.
func (w *worker) distrust(did string) {
	w.distrusted = true
	w.kill(did)
}

// believes reports whether m, a message of w, has no more than limit bytes. The log calls them by the word what.
func (w *worker) believes(what string, m *Message, limit int) bool {
	if len(m.Raw) <= limit {
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
