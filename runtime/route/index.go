package route

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// An index finds the mounts of a site whose prefixes a path has, in the order of the mounts. The time depends on the
// length of the path and on the number of nested prefixes, and hardly on the number of mounts. The index of patterns
// finds those whose literal text a name has.
type index []indexed

// indexed is a prefix with the mounts that require it. The elements of an index are sorted by prefix. A path has the
// prefixes of one element and of the element's chain of parents, and no others.
type indexed struct {
	prefix string
	parent int   // position of the longest other prefix that this prefix begins with, or -1
	mounts []int // in ascending order

	last     *patterns // mounts with a pattern for the last segment of the path; nil without such mounts
	segments *patterns // mounts with a pattern for any segment of the path; nil without such mounts
}

// newMountIndex returns the index of all mounts of a site, those with patterns by their patterns, too.
func newMountIndex(mounts []compiled) index {
	prefixes := map[string][]int{}
	for i := range mounts {
		if prefix, nested := mounts[i].prefix(); nested {
			prefixes[prefix] = append(prefixes[prefix], i)
		}
	}
	x := newIndex(prefixes)
	for i := range x {
		var plain, last, segments []int
		for _, m := range x[i].mounts {
			switch of := &mounts[m]; {
			case of.Match == "" && of.Having == "":
				plain = append(plain, m)
			case of.Match != "" && !of.Inner:
				last = append(last, m)
			default:
				segments = append(segments, m)
			}
		}
		// The pattern of a mount whose prefix ends within a segment applies to the rest of the segment.
		pattern := func(i int) (pattern string, whole bool) {
			m := &mounts[i]
			return cmp.Or(m.Match, m.Having), m.Match == "" || m.Prefix == "" || strings.HasSuffix(m.Prefix, "/")
		}
		x[i].mounts, x[i].last, x[i].segments = plain, newPatterns(last, pattern), newPatterns(segments, pattern)
	}
	return x
}

func newIndex(prefixes map[string][]int) (x index) {
	for prefix, list := range prefixes {
		x = append(x, indexed{prefix: prefix, parent: -1, mounts: list})
	}
	sort.Slice(x, func(i, j int) bool { return x[i].prefix < x[j].prefix })
	for i := 1; i < len(x); i++ {
		parent := i - 1
		for parent >= 0 && !strings.HasPrefix(x[i].prefix, x[parent].prefix) {
			parent = x[parent].parent
		}
		x[i].parent = parent
	}
	return x
}

// prefix returns the longer one of Prefix and Within. The result nested is false if no path has both prefixes.
func (m *Mount) prefix() (prefix string, nested bool) {
	if len(m.Prefix) < len(m.Within) {
		return m.Within, strings.HasPrefix(m.Within, m.Prefix)
	}
	return m.Prefix, strings.HasPrefix(m.Prefix, m.Within)
}

// find returns the position of the longest prefix that the path has, or -1.
func (x index) find(path []byte) int {
	low, high := 0, len(x)
	for low < high {
		if middle := int(uint(low+high) >> 1); x[middle].prefix <= string(path) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	at := low - 1
	// If the path has a prefix of the index, then so has every element between this prefix and the path.
	for at >= 0 && (len(x[at].prefix) > len(path) || string(path[:len(x[at].prefix)]) != x[at].prefix) {
		at = x[at].parent
	}
	return at
}

// next returns the first mount after the mount m that requires a prefix of x[at] or of its parents, or -1.
func (x index) next(position, m int) int {
	first := -1
	for ; position >= 0; position = x[position].parent {
		list := x[position].mounts
		i := 0
		if len(list) > 0 && list[0] <= m {
			i, _ = slices.BinarySearch(list, m+1)
		}
		if i < len(list) && (first < 0 || list[i] < first) {
			first = list[i]
		}
	}
	return first
}
