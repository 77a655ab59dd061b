package pool

import (
	"fmt"
	"slices"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// A step that the tables do not allow would be a fault of the supervisor, which must keep running.
func TestStepsThatTheTablesOfAWorkerDoNotAllowAreRefusedAndLogged(t *testing.T) {
	var lines []string
	o := idle()
	o.Log = func(level logfile.Level, line string) {
		if level == logfile.Error {
			lines = append(lines, line)
		}
	}
	w := &worker{pool: New(o)}
	w.Pid = 7
	steps := 0
	check := func(from, to fmt.Stringer, allowed, done bool) {
		t.Helper()
		want := []string(nil)
		if !allowed {
			want = []string{fmt.Sprintf("bug: worker 7 is %s and must not become %s", from, to)}
		}
		checktest.Truef(t, done == allowed && slices.Equal(lines, want), "%s to %s: %v, %q", from, to, done, lines)
		lines, steps = nil, steps+1
	}
	for from := range states {
		for to := range states {
			w.State = from
			w.setState(to)
			check(from, to, from == to || nextStates[from]>>to&1 == 1, w.State == to)
			checktest.Truef(t, to > from || to == from || nextStates[from]>>to&1 == 0 || from == Waking && to == Ready,
				"%s becomes %s again", from, to)
		}
	}
	for from := range exits {
		for to := range exits {
			w.Exit = from
			w.setExit(to)
			check(from, to, to >= from, w.Exit == to)
		}
	}
	for from := range beliefs {
		for to := range beliefs {
			w.Belief = from
			w.setBelief(to)
			check(from, to, to >= from, w.Belief == to)
		}
	}
	checktest.Equal(t, steps, int(states)*int(states)+int(exits)*int(exits)+int(beliefs)*int(beliefs))
}
