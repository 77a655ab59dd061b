package exchange

import "testing"

// The last piece before the limit may exceed InputWindow. The handler gets more input after it has returned half of the
// window. Returning more bytes than it has received has no effect.
func TestHandlerGetsInputUpToItsWindow(t *testing.T) {
	var o Outstanding
	piece := make([]byte, InputWindow/4)
	for i, enough := range []bool{false, false, false, true} {
		if o.Add(piece) != enough {
			t.Errorf("piece %d: not %v", i, enough)
		}
	}
	for i, more := range []bool{false, false, true} {
		if o.Credit(InputWindow/4+InputCost) != more {
			t.Errorf("credit %d: not %v", i, more)
		}
	}
	if !o.Credit(InputWindow) || o != 0 || o.Add(nil) || o != InputCost {
		t.Error(o)
	}
}
