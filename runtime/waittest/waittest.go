package waittest

import (
	"testing"
	"time"
)

// Patience bounds each wait for an event, so that a test fails rather than hangs, also on a machine that is many times slower.
const Patience = 5 * time.Minute

// Eventually waits until holds does, and ends the test if that does not come; what names it in the message. After a look that took its time, such as one
// that starts a process, it waits for four times as long: the thing that it waits for needs the processor, too.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 5*time.Millisecond) {
		began := time.Now()
		if holds() {
			return
		}
		if began.After(end) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
		time.Sleep(max(pause, min(4*time.Since(began), 100*time.Millisecond)))
	}
}

// InItsTime tries something that a timeout must not end, or not so soon, and again with a longer timeout if it fails:
// a busy machine is late for a short one. try returns the mistake, or "".
func InItsTime(t testing.TB, try func(timeout time.Duration) (wrong string)) {
	t.Helper()
	for timeout := 2 * time.Second; ; timeout *= 2 {
		wrong := try(timeout)
		if wrong == "" {
			return
		} else if timeout > Patience {
			t.Fatal(wrong)
		}
		t.Logf("timeout %v: %s", timeout, wrong)
	}
}
