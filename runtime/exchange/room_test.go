package exchange

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestShareOfFreeSpace: a body gets a quarter of the free space, and looks at it only above the usual limit.
func TestShareOfFreeSpace(t *testing.T) {
	st := unix.Statfs_t{Blocks: 1 << 20, Bavail: 40, Bsize: 1 << 20}
	for size, want := range map[int64]bool{10 << 20: true, 10<<20 + 1: false} {
		if got := hasRoom(&st, size); got != want {
			t.Errorf("%d bytes: %v", size, got)
		}
	}
	if !hasRoom(&unix.Statfs_t{}, 1<<40) {
		t.Error("a file system that does not know its size has no room")
	}
	s := &Server{}
	for _, c := range []struct {
		size, max int64
		want      error
	}{{1 << 40, -1, nil}, {11, 10, errTooLarge}, {CollectedBody + 1, CollectedBody, errTooLarge}, {usualBody, CollectedBody, nil}} {
		if got := s.admits(c.size, c.max); got != c.want {
			t.Errorf("%d of %d: %v", c.size, c.max, got)
		}
	}
}
