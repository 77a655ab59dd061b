package eventloop

import (
	"testing"

	"fapws/runtime/checktest"
)

type thing struct {
	entry Entry[thing]
	due   int64
}

// The test adds entries again that the wheel has returned before they are due.
func TestWheelReturnsEntriesWhenTheyAreDue(t *testing.T) {
	var w Wheel[thing]
	left := map[*thing]bool{}
	for i := range int64(1000) {
		one := &thing{due: i * i * Tick / 100} // up to 10,000 ticks, many revolutions of the wheel
		left[one] = true
		w.Add(&one.entry, one, one.due)
	}
	for _, one := range w.All() {
		if one.due%(3*Tick) == 0 {
			delete(left, one)
			w.Remove(&one.entry)
			w.Remove(&one.entry)
		}
	}
	n := len(w.All())
	checktest.Needf(t, n == len(left) && n != 1000, "%d in the wheel, want %d", n, len(left))
	for now := int64(0); len(left) > 0; now += Tick / 2 {
		for one := w.Next(now); one != nil; one = w.Next(now) {
			if one.due > now {
				w.Add(&one.entry, one, one.due)
				continue
			}
			late := now - one.due
			checktest.Needf(t, late <= 2*Tick && left[one], "%d ns late", late)
			delete(left, one)
		}
		checktest.Needf(t, now <= 20000*Tick, "%d never came up", len(left))
	}
}
