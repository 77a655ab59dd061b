package exchange

import "testing"

// The server checks the free space only for bodies that are longer than usualBody.
func TestBodyMayUseAQuarterOfTheFreeSpace(t *testing.T) {
	for size, want := range map[int64]bool{10 << 20: true, 10<<20 + 1: false} {
		if got := hasRoom(40<<20, size); got != want {
			t.Errorf("%d bytes: %v", size, got)
		}
	}
	s := &Server{}
	for _, c := range []struct {
		size, max int64
		want      error
	}{{1 << 40, -1, nil}, {11, 10, errTooLarge}, {CollectedBody + 1, CollectedBody, errTooLarge},
		{usualBody, CollectedBody, nil}} {
		if got := s.admits(c.size, 0, c.max); got != c.want {
			t.Errorf("%d of %d: %v", c.size, c.max, got)
		}
	}
}
