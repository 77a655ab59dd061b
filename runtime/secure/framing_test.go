package secure

import (
	"math/rand/v2"
	"testing"
)

// However the bytes of records are cut, it is known when the only one is whole.
func TestFraming(t *testing.T) {
	record := func(n int) []byte { return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...) }
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, sizes := range [][]int{{1}, {0}, {100}, {16 << 10}, {1, 1}, {0, 300, 5}, {65535}} {
		var all []byte
		for _, n := range sizes {
			all = append(all, record(n)...)
		}
		for most := 1; most < len(all)+2; most = most*2 + rnd.IntN(3) {
			var f framing
			for rest := all; len(rest) > 0; {
				n := min(1+rnd.IntN(most), len(rest))
				f.follow(rest[:n])
				rest = rest[n:]
				first := len(all)-len(rest) == recordHeader+sizes[0]
				if one := f.isOne(); one != first {
					t.Fatalf("%v, %d bytes left: one record: %v", sizes, len(rest), one)
				}
			}
			f.used()
			f.follow(record(7)[:6])
			if f.used(); f.isOne() {
				t.Fatalf("%v: half of a record is one", sizes)
			}
			f.follow(record(7)[6:])
			if !f.isOne() {
				t.Fatalf("%v: a record in two parts is not one", sizes)
			}
		}
	}
}
