package fapwstest

import (
	"os"
	"slices"
	"testing"
)

type Mode struct {
	Name  string
	Flags []string
}

// Forks requires synchronous handlers that remember nothing between requests, and Asleep handlers that remember nothing
// after a pause without clients.
var (
	Threads = Mode{"threads", nil}
	Inline  = Mode{"inline", []string{"--threads", "0"}}
	Workers = Mode{"workers", []string{"--workers", "2"}}
	Forks   = Mode{"fork", []string{"--fork"}}
	Asleep  = Mode{"asleep", []string{"--idle-stop", "50ms"}}
)

// Modes are for handlers that may remember something between requests.
var Modes = []Mode{Threads, Inline, Workers}

func (m Mode) Inline() bool { return m.Name == Inline.Name }

func (m Mode) Forks() bool { return m.Name == Forks.Name }

func (m Mode) Workers() bool { return m.Name == Workers.Name }

// InOneProcess runs tests of the bridge, of the process and of what a script remembers there with threads and inline.
// Tests of code in Go alone need one mode, usually Threads.
func InOneProcess(t *testing.T, test func(t *testing.T, m Mode)) {
	t.Helper()
	InEach(t, Modes[:2], test)
}

// OnlyMode limits the tests to one mode, because all modes with the race detector would take too long. A test that does
// not support this mode runs in the last of its modes.
var OnlyMode = os.Getenv("FAPWS_ONLY_MODE")

// InEach runs the tests of the modes in parallel with other tests.
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
