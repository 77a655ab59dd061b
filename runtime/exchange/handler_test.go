package exchange

import (
	"slices"
	"testing"
)

// When the answer of a request occupies its process no longer.
func TestOccupancy(t *testing.T) {
	head, whole := &Part{First: true}, &Part{First: true, Last: true}
	socket, interim := &Part{First: true, Head: Head{WebSocket: true}}, &Part{Interim: true}
	for o, ends := range map[Occupancy][]*Part{
		OccupiesNothing: nil, OccupiesUntilHead: {head, whole, socket}, OccupiesUntilEnd: {whole, socket},
	} {
		for _, p := range []*Part{head, whole, socket, interim} {
			if got, want := o.EndsWith(p), slices.Contains(ends, p); got != want {
				t.Errorf("%d: %v after %+v", o, got, p)
			}
		}
	}
}
