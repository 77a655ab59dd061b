package exchange

import (
	"bytes"
	"fmt"
	"testing"

	"fapws/runtime/checktest"
)

func TestCacheOfMissingPathsIsBounded(t *testing.T) {
	var m notFoundCache
	for i := range 3 * missesMax {
		m.add(fmt.Appendf(nil, "/%d", i), 0)
	}
	n := len(m.since)
	checktest.Truef(t, n <= missesMax, "%d paths", n)
	long := bytes.Repeat([]byte("x"), missesLen+1)
	m.add(long, 0)
	checktest.Truef(t, !m.has(long, 0), "a long path is remembered")
	path := []byte("/x")
	m.add(path, 5)
	checktest.Truef(t, m.has(path, 5+missesAge-1) && !m.has(path, 5+missesAge), "remembered for another time")
}
