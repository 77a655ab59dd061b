package http_test

import (
	"io"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A pace measures the longest time in which nothing arrived at a client that answers at once: it covers what the
// client, the server and the kernel were late.
type pace struct {
	last    time.Time
	longest time.Duration
}

// step notes that the client has got something.
func (p *pace) step() {
	now := time.Now()
	p.longest = max(p.longest, now.Sub(p.last))
	p.last = now
}

// restart forgets the time since the last step, in which the server was not waiting for the client.
func (p *pace) restart() { p.last = time.Now() }

// stepping is a reader with a step for each piece.
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

// inItsTime tries a client that must keep a timeout of the server. The try says nothing when the machine was so slow
// that half of the timeout passed between two steps; then it is repeated with a longer timeout.
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
