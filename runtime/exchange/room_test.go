package exchange

import (
	"testing"

	"fapws/runtime/checktest"
)

// The server checks the free space only for bodies that are longer than usualBody.
func TestBodyMayUseAQuarterOfTheFreeSpace(t *testing.T) {
	for size, want := range map[int64]bool{10 << 20: true, 10<<20 + 1: false} {
		checktest.Equalf(t, hasRoom(40<<20, size), want, "%d bytes", size)
	}
	s := &Server{}
	for _, c := range []struct {
		size, max int64
		want      error
	}{{1 << 40, -1, nil}, {11, 10, errTooLarge}, {CollectedBody + 1, CollectedBody, errTooLarge},
		{usualBody, CollectedBody, nil}} {
		checktest.Equalf(t, s.admits(c.size, 0, c.max), c.want, "%d of %d", c.size, c.max)
	}
}
