package route

import (
	"bytes"
	"fmt"
	"testing"

	"fapws/runtime/checktest"
)

func TestCacheOfMissingPathsIsBounded(t *testing.T) {
	var m Missing
	for i := range 3 * missesMax {
		m.Add(fmt.Appendf(nil, "/%d", i), 0)
	}
	n := len(m.since)
	checktest.Truef(t, n <= missesMax, "%d paths", n)
	long := bytes.Repeat([]byte("x"), missesLen+1)
	m.Add(long, 0)
	checktest.Truef(t, !m.Has(long, 0), "a long path is remembered")
	path := []byte("/x")
	m.Add(path, 5)
	checktest.Truef(t, m.Has(path, 5+missesAge-1) && !m.Has(path, 5+missesAge), "remembered for another time")
}
