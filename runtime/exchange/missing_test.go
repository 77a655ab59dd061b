package exchange

import (
	"bytes"
	"fmt"
	"testing"
)

func TestCacheOfMissingPathsIsBounded(t *testing.T) {
	var m notFoundCache
	for i := range 3 * missesMax {
		m.add(fmt.Appendf(nil, "/%d", i), 0)
	}
	if n := len(m.since); n > missesMax {
		t.Errorf("%d paths", n)
	}
	long := bytes.Repeat([]byte("x"), missesLen+1)
	if m.add(long, 0); m.has(long, 0) {
		t.Error("a long path is remembered")
	}
	path := []byte("/x")
	if m.add(path, 5); !m.has(path, 5+missesAge-1) || m.has(path, 5+missesAge) {
		t.Error("remembered for another time")
	}
}
