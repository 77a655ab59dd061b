package exchange

import "testing"

// The last piece may exceed InputWindow. The handler gets more input when it has returned half of the window. Returning
// too many bytes has no effect.
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
