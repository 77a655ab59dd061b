package main

import (
	"time"

	"fapws/cmd/fapws/settings"
)

// settled is what a worker tells of its settings, which the script has had a
// say in.
type settled struct {
	settings.Config
	BindFrom settings.Source
	Python   string // version; "": none runs
	Served   string // what is served
}

// Questions of a supervisor to its workers, see pool.Pool.Ask.
const (
	askAlive  = "alive"  // yes: the loop serves
	askStack  = "stack"  // the Python stacks of the active requests
	askServed = "served" // the number of requests so far
	askPurge  = "purge"  // followed by a space and a pattern in JSON: how many pages were removed
	askCache  = "cache"  // ctl.Cache in JSON

	yes = "yes"
)

// answerWithin is how long a supervisor waits for what its workers say.
const answerWithin = stackWait + time.Second
