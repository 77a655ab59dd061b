package fapwstest

import (
	"os"
	"slices"
	"testing"
)

// Mode is a way to serve a script.
type Mode struct {
	Name  string
	Flags []string
}

// The modes. Forks is for synchronous handlers that remember nothing between requests, Asleep for handlers that remember nothing when no
// client has been connected to one for a moment.
var (
	Threads = Mode{"threads", nil}
	Inline  = Mode{"inline", []string{"--threads", "0"}}
	Workers = Mode{"workers", []string{"--workers", "2"}}
	Forks   = Mode{"fork", []string{"--fork"}}
	Asleep  = Mode{"asleep", []string{"--idle-stop", "50ms"}}
)

// Modes are those of a server for handlers that may remember something.
var Modes = []Mode{Threads, Inline, Workers}

// Inline reports whether m is Inline.
func (m Mode) Inline() bool { return m.Name == Inline.Name }

// Forks reports whether m is Forks.
func (m Mode) Forks() bool { return m.Name == Forks.Name }

// Workers reports whether m is Workers.
func (m Mode) Workers() bool { return m.Name == Workers.Name }

// InOneProcess runs a test with threads and inline: what the bridge does with a handler, or a test that looks at the process, or at what the
// script remembers there. What Go does alone needs one mode, in most tests Threads.
func InOneProcess(t *testing.T, test func(t *testing.T, m Mode)) {
	t.Helper()
	InEach(t, Modes[:2], test)
}

// OnlyMode, from the environment, names the mode to test in, for when all of them would take too long (with the race detector). A test that does not
// run in it runs in the last of its modes.
var OnlyMode = os.Getenv("FAPWS_ONLY_MODE")

// InEach runs a test in each of modes, beside other tests.
func InEach(t *testing.T, modes []Mode, test func(t *testing.T, m Mode)) {
	t.Helper()
	t.Parallel()
	if OnlyMode != "" {
		only := slices.IndexFunc(modes, func(m Mode) bool { return m.Name == OnlyMode })
		if only < 0 {
			only = len(modes) - 1
		}
		modes = modes[only : only+1]
	}
	for _, m := range modes {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}
