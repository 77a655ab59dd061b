package checktest

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Patience limits each wait for an event, so that a test fails instead of hanging. A machine may be many times slower
// than usual.
const Patience = 2 * time.Minute

// Eventually calls holds until it returns true. After Patience, Eventually ends the test, and the message names the
// missing event. After a slow call, Eventually pauses for four times as long as the call took, because the tested code
// needs the processor, too.
func Eventually(t testing.TB, subject string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 5*time.Millisecond) {
		began := time.Now()
		if holds() {
			return
		}
		if began.After(end) {
			t.Fatalf("not within %v: %s", Patience, subject)
		}
		time.Sleep(max(pause, min(4*time.Since(began), 100*time.Millisecond)))
	}
}

// Cases returns the test cases in a text file. Each line is a case, and tabs separate its columns. Empty lines and
// lines that begin with "#" are left out.
func Cases(t testing.TB, file string, columns int) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(string(Try(os.ReadFile(file)).Must(t))) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		one := strings.Split(line, "\t")
		if len(one) != columns {
			t.Fatalf("%s: %q has %d columns, not %d", file, line, len(one), columns)
		}
		rows = append(rows, one)
	}
	return rows
}

// InItsTime calls try with a timeout for its work. If try fails, InItsTime calls it again with longer timeouts, because
// a busy machine may exceed a short timeout. try returns the text of its error, or "".
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
