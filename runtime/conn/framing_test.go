package conn

import "testing"

func TestRecordsReachCryptoTLSOneAtATime(t *testing.T) {
	for _, sizes := range [][]int{{1}, {0}, {100}, {16 << 10}, {1, 1}, {0, 300, 5}, {65535}} {
		var all []byte
		ends := map[int]bool{}
		for _, size := range sizes {
			all = append(all, 23, 3, 3, byte(size>>8), byte(size))
			all = append(all, make([]byte, size)...)
			ends[len(all)] = true
		}
		for piece := 1; piece < 100_000; piece = piece*3 + 1 {
			var f framing
			given, reads := 0, 0
			for given < len(all) {
				next := all[given:min(given+piece, len(all))]
				n := min(len(next), f.limit(next))
				for at := given + 1; at < given+n; at++ {
					if ends[at] {
						t.Fatalf("%v in pieces of %d: %d bytes behind %d", sizes, piece, n, given)
					}
				}
				f.follow(next[:n])
				given += n
				reads++
			}
			if f != (framing{head: f.head}) {
				t.Fatalf("%v in pieces of %d: %+v at the end", sizes, piece, f)
			}
			if piece >= len(all) && reads != len(sizes) {
				t.Fatalf("%v: %d reads", sizes, reads)
			}
		}
	}
}
