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

// Each Mode is a way to run handlers. In the mode Forks, handlers must be synchronous and keep no state in memory
// between requests. In the mode Asleep, the state is lost when no client has come for a while.
var (
	Threads = Mode{"threads", nil}
	Inline  = Mode{"inline", []string{"--threads", "0"}}
	Workers = Mode{"workers", []string{"--workers", "2"}}
	Forks   = Mode{"fork", []string{"--fork"}}
	Asleep  = Mode{"asleep", []string{"--idle-stop", "50ms"}}
)

// Modes contains the modes in which handlers may keep state in memory between requests.
var Modes = []Mode{Threads, Inline, Workers}

func (m Mode) Inline() bool { return m.Name == Inline.Name }

func (m Mode) Forks() bool { return m.Name == Forks.Name }

func (m Mode) Workers() bool { return m.Name == Workers.Name }

// InOneProcess runs a test in the modes Threads and Inline, which have no worker processes. Use InOneProcess for tests
// of package pybridge or of the server's process, and for scripts that keep state in memory.
func InOneProcess(t *testing.T, test func(t *testing.T, m Mode)) {
	t.Helper()
	InEach(t, Modes[:2], test)
}

// OnlyMode limits each test to one mode, because the race detector is too slow for all modes. A test that does not
// support this mode runs in the last mode that it supports.
var OnlyMode = os.Getenv("FAPWS_ONLY_MODE")

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
