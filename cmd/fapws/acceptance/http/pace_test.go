package http_test

import (
	"io"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A pace records the longest time between two steps of a test client that answers at once.
type pace struct {
	last    time.Time
	longest time.Duration
}

func (p *pace) step() {
	now := time.Now()
	p.longest = max(p.longest, now.Sub(p.last))
	p.last = now
}

func (p *pace) restart() { p.last = time.Now() }

type stepping struct {
	io.Reader
	*pace
}

func (r stepping) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.step()
	}
	return n, err
}

// inItsTime runs a test with a client that must meet a timeout of the server. If the machine was so slow that half of
// the timeout passed between two steps, inItsTime repeats the test with a longer timeout.
func inItsTime(t *testing.T, try func(t *testing.T, timeout time.Duration, p *pace) error) {
	t.Helper()
	for timeout := 3 * time.Second; ; timeout *= 2 {
		p := &pace{last: time.Now()}
		err := try(t, timeout, p)
		p.step()
		switch {
		case err == nil:
			return
		case p.longest < timeout/2 || timeout > fapwstest.Patience:
			t.Fatalf("timeout %v: %v, after pauses of %v at most", timeout, err, p.longest)
		}
		t.Logf("timeout %v: %v, after a pause of %v: again with a longer one", timeout, err, p.longest)
	}
}
