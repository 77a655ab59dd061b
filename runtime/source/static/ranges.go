package static

import (
	"bytes"
	"math"
)

// maxRanges bounds the work that one small request can cause. With more, and when the ranges together are more than
// the file (they overlap), the field is ignored, as RFC 9110 §14.2 allows, and the whole is sent.
const maxRanges = 32

// byteRange is a part of a representation; count is not 0.
type byteRange struct{ start, count int64 }

func (r byteRange) last() int64 { return r.start + r.count - 1 }

// rangeSet is the ranges of a Range field that a representation has.
type rangeSet struct {
	n int
	r [maxRanges]byteRange
}

// rangeAnswer is the response to a Range field.
type rangeAnswer uint8

const (
	wholeFile     rangeAnswer = iota // ignore the field
	someRanges                       // 206
	unsatisfiable                    // 416
)

// parse reads a Range field (RFC 9110 §14.1.2) for a representation of a
// size. A field that breaks the grammar is ignored, and so is any for an
// empty file, of which no part can be named.
func (set *rangeSet) parse(value []byte, size int64) rangeAnswer {
	set.n = 0
	unit, specs, found := bytes.Cut(value, []byte{'='})
	if !found || !equalFold(unit, "bytes") || size == 0 {
		return wholeFile
	}
	seen, total := 0, int64(0)
	for len(specs) > 0 {
		var spec []byte
		spec, specs, _ = bytes.Cut(specs, []byte{','})
		if spec = trimSpace(spec); len(spec) == 0 {
			continue // RFC 9110 §5.6.1: empty elements of a list do not count
		}
		if seen++; seen > maxRanges {
			return wholeFile
		}
		r, ok := parseRange(spec, size)
		if !ok {
			return wholeFile
		}
		if r.count == 0 {
			continue
		}
		if total += r.count; total > size {
			return wholeFile
		}
		set.r[set.n] = r
		set.n++
	}
	switch {
	case seen == 0:
		return wholeFile
	case set.n == 0:
		return unsatisfiable
	}
	return someRanges
}

// OneRange reads a Range field (RFC 9110 §14.1.2) for size bytes. ok is false where all
// of them are to be sent: the field is none, or asks for several ranges. count is 0 where the range lies beyond
// the end: 416.
func OneRange(value []byte, size int64) (start, count int64, ok bool) {
	var set rangeSet
	switch set.parse(value, size) {
	case unsatisfiable:
		return 0, 0, true
	case someRanges:
		if set.n == 1 {
			return set.r[0].start, set.r[0].count, true
		}
	}
	return 0, 0, false
}

// AppendContentRange appends the field of a 206 for count bytes from start of size.
func AppendContentRange(dst []byte, start, count, size int64) []byte {
	return appendContentRange(dst, byteRange{start, count}, size)
}

// parseRange reads "first-last", "first-" or "-suffix". A range that lies
// beyond the end has count 0.
func parseRange(spec []byte, size int64) (r byteRange, ok bool) {
	before, after, found := bytes.Cut(spec, []byte{'-'})
	if !found {
		return r, false
	}
	if len(before) == 0 {
		suffix, ok := parseDigits(after)
		count := min(suffix, size)
		return byteRange{size - count, count}, ok
	}
	first, ok := parseDigits(before)
	if !ok {
		return r, false
	}
	last := int64(math.MaxInt64)
	if len(after) > 0 {
		if last, ok = parseDigits(after); !ok || last < first {
			return r, false
		}
	}
	if first >= size {
		return byteRange{}, true
	}
	return byteRange{first, min(last, size-1) - first + 1}, true
}

// parseDigits reads 1*DIGIT; a number that does not fit is the largest.
func parseDigits(s []byte) (n int64, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(s) > 0
}
