package app

import (
	"slices"
	"testing"

	"fapws/runtime/exchange"
)

// When the answer of a request occupies its process no longer.
func TestOccupancy(t *testing.T) {
	head, whole := &exchange.Part{First: true}, &exchange.Part{First: true, Last: true}
	socket, interim := &exchange.Part{First: true, Head: exchange.Head{WebSocket: true}}, &exchange.Part{Interim: true}
	for o, ends := range map[Occupancy][]*exchange.Part{
		OccupiesNothing: nil, OccupiesUntilHead: {head, whole, socket}, OccupiesUntilEnd: {whole, socket},
	} {
		for _, p := range []*exchange.Part{head, whole, socket, interim} {
			if got, want := o.endsWith(p), slices.Contains(ends, p); got != want {
				t.Errorf("%d: %v after %+v", o, got, p)
			}
		}
	}
}
