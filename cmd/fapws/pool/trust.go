package pool

import (
	"fmt"
	"strings"
	"time"
)

// A worker runs the application, which an attacker may control, inside the sandbox with its channel; the supervisor
// runs outside of the sandbox. The supervisor therefore accepts only settings that a worker sent before Confined, and
// checks every message against the table named trust. The constants below limit the data that the supervisor keeps for
// each worker; a worker that exceeds a limit is killed.

// A reaction is what the supervisor does with a message of a worker.
type reaction uint8

const (
	ignored reaction = iota // the message arrives too late or has no effect in this state
	obeyed
	forged // a correct worker never sends this message in this state, so its sender is killed
)

// trust defines how the supervisor treats a worker's message, by the kind of the message and the state of the worker.
var trust = map[Kind][Dead]reaction{
	//             starting entering early    loaded   asleep   waking   serving  retiring ending
	Configured:   {obeyed, forged, forged, forged, obeyed, forged, forged, ignored, ignored},
	Certificates: {obeyed, forged, forged, forged, forged, forged, forged, ignored, ignored},
	Confined:     {obeyed, forged, forged, forged, obeyed, forged, forged, ignored, ignored},
	Loaded:       {obeyed, obeyed, obeyed, ignored, forged, obeyed, ignored, ignored, ignored},
	Started:      {forged, obeyed, ignored, ignored, ignored, ignored, ignored, ignored, ignored},
	Closed:       {forged, forged, forged, forged, forged, forged, forged, obeyed, ignored},
	Checked:      {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, ignored},
	Unused:       {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, ignored},
	Recycle:      {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, ignored},
	Answer:       {ignored, ignored, ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Failing:      {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Ask:          {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	LastWords:    {ignored, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Join:         {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Publish:      {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Counts:       {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
	Purge:        {obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed, obeyed},
}

// trusts reports whether the supervisor may handle m, and kills the sender of a forged message.
func (w *worker) trusts(m *Message) bool {
	if w.Belief == distrusted {
		return false
	}
	// A message of a worker that is already dead is treated as its last ones.
	do, most := trust[m.Kind][min(w.State, Ending)], limits[m.Kind]
	switch {
	case do == forged:
		w.distrust(fmt.Sprintf("sent the message %q while it was %s", m.Kind, w.State))
	case do == obeyed && most.bytes > 0 && len(m.Raw) > most.bytes:
		w.distrust(fmt.Sprintf("sent more than %d MiB of %s", most.bytes>>20, most.what))
	}
	return do == obeyed && w.Belief != distrusted
}

// limits defines the maximum length of Raw, for each kind of message whose Raw the supervisor keeps or passes on.
var limits = map[Kind]struct {
	bytes int
	what  string
}{
	Configured: {maxWant, "settings"}, Certificates: {maxWant, "a question"}, Answer: {maxText, "an answer"},
	LastWords: {maxText, "last words"}, Publish: {maxEvents, "events"},
}

const (
	maxReason   = 1000     // bytes of a line that the supervisor logs about a worker
	maxText     = 8 << 20  // bytes of an Answer or of LastWords
	maxWant     = 1 << 20  // bytes of a request for certificates, or of settings
	maxEvents   = 65 << 20 // bytes of all events in one Publish message
	minEvent    = 4        // minimum bytes of an event
	maxCounted  = 32 << 20 // bytes of all subscriber counts of a worker (see countCost)
	maxName     = 1 << 10  // bytes of a channel name in Counts
	maxCount    = 1 << 32
	maxQueries  = 32            // requests of a worker that are processed at the same time
	maxUnread   = 2 * maxEvents // bytes queued for a worker
	maxGrace    = 30 * 24 * time.Hour
	leastIntake = 8 << 10 // bytes that a worker must read between two urgent checks
)

// countCost returns the memory that the subscriber count of a channel occupies, in bytes.
func countCost(name string) int { return len(name) + 64 }

func (w *worker) distrust(offence string) {
	w.setBelief(distrusted)
	w.kill(offence)
}

func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
