package live

import (
	"testing"
	"time"
)

// TestPatience: a handler is waited for ten seconds, and no longer; but while others are handed over, each has ten more.
func TestPatience(t *testing.T) {
	var p patience
	began := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		seconds, left int
		want          bool
	}{{0, 0, false}, {9, 0, false}, {9, 1, false}, {18, 3, false}, {27, 0, false}, {28, 0, false}, {29, 0, true}, {30, 1, false}} {
		if got := p.over(began.Add(time.Duration(c.seconds)*time.Second), c.left); got != c.want {
			t.Errorf("after %d s, with %d that have left: %t", c.seconds, c.left, got)
		}
	}
}
