package pool

import (
	"fmt"
	"strings"
	"time"
)

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
