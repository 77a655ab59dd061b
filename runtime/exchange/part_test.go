package exchange

import (
	"testing"

	"fapws/runtime/checktest"
)

// The last piece before the limit may exceed InputWindow. The handler gets more input after it has returned half of the
// window. Returning more bytes than it has received has no effect.
func TestHandlerGetsInputUpToItsWindow(t *testing.T) {
	var o Outstanding
	piece := make([]byte, InputWindow/4)
	for i, enough := range []bool{false, false, false, true} {
		checktest.Equalf(t, o.Add(piece), enough, "piece %d", i)
	}
	for i, more := range []bool{false, false, true} {
		checktest.Equalf(t, o.Credit(InputWindow/4+InputCost), more, "credit %d", i)
	}
	checktest.Truef(t, o.Credit(InputWindow) && o == 0 && !o.Add(nil) && o == InputCost, "%v", o)
}
