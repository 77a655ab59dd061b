package exchange

import "testing"

// The handler may exceed InputWindow by one piece, and gets more below half of the window. Too much credit has no
// effect.
func TestHandlerGetsInputUpToItsWindow(t *testing.T) {
	var g Given
	piece := make([]byte, InputWindow/4)
	for i, enough := range []bool{false, false, false, true} {
		if g.Add(piece) != enough {
			t.Errorf("piece %d: not %v", i, enough)
		}
	}
	for i, more := range []bool{false, false, true} {
		if g.Credit(InputWindow/4+InputCost) != more {
			t.Errorf("credit %d: not %v", i, more)
		}
	}
	if !g.Credit(InputWindow) || g != 0 || g.Add(nil) || g != InputCost {
		t.Error(g)
	}
}
