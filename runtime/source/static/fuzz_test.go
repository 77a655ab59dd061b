package static

import (
	"testing"
)

// FuzzRanges checks that what is left of a Range field lies in the file.
func FuzzRanges(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,2-3,-1", "bytes=9223372036854775807-", "bytes=-9223372036854775807", "bytes=1-9223372036854775807"} {
		f.Add([]byte(seed), int64(10))
	}
	f.Fuzz(func(t *testing.T, value []byte, size int64) {
		if size < 0 {
			return
		}
		var set rangeSet
		answer := set.parse(value, size)
		total := int64(0)
		for _, r := range set.r[:set.n] {
			if r.start < 0 || r.count <= 0 || r.start >= size || r.last() >= size {
				t.Fatalf("%q of %d: %+v", value, size, r)
			}
			total += r.count
		}
		if answer == someRanges && (set.n == 0 || total > size) {
			t.Fatalf("%q of %d: %+v", value, size, set.r[:set.n])
		}
	})
}
