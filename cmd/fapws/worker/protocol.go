package worker

import (
	"time"

	"fapws/cmd/fapws/settings"
)

// Settled are the settings of a worker, with those of the script.
type Settled struct {
	settings.Config
	BindFrom settings.Source
	Python   string // version, or "" without an interpreter
	Served   string // the application or site, human-readable
}

// Questions of a supervisor to its workers, see pool.Pool.Ask.
const (
	AskAlive    = "alive"    // Alive, if the event loop runs
	AskStack    = "stack"    // the Python stacks of the active requests
	AskCounters = "counters" // ctl.Counters in JSON
	AskPurge    = "purge"    // followed by a space and a pattern in JSON: how many pages were removed
	AskCache    = "cache"    // ctl.Cache in JSON
	AskMetrics  = "metrics"  // []metrics.Family in JSON
	AskActive   = "active"   // []ctl.Active in JSON

	Alive = "yes"
)

// AnswerWithin is the time that a supervisor waits for the answers of its workers.
const AnswerWithin = stackWait + time.Second
