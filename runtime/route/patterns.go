package route

import (
	"path"
	"slices"
	"strings"
	"unsafe"
)

// patterns finds the patterns that a name can match by the literal text at their end, as in "*.php", or at their
// beginning, whichever is longer. Only patterns with neither, such as "*.min.*", are all candidates for each name.
type patterns struct {
	ends   index // the texts are reversed
	begins index
	others []int
}

// newPatterns returns nil if there are no patterns. The elements of list are numbers of mounts, in ascending order. If
// whole is false, the pattern of a mount applies to the end of a name.
func newPatterns(list []int, pattern func(mount int) (pattern string, whole bool)) *patterns {
	if len(list) == 0 {
		return nil
	}
	ends, begins := map[string][]int{}, map[string][]int{}
	p := &patterns{}
	for _, m := range list {
		text, whole := pattern(m)
		switch begin, end := literals(text); {
		case end != "" && (len(end) >= len(begin) || !whole):
			text := []byte(end)
			slices.Reverse(text)
			ends[string(text)] = append(ends[string(text)], m)
		case begin != "" && whole:
			begins[begin] = append(begins[begin], m)
		default:
			p.others = append(p.others, m)
		}
	}
	p.ends, p.begins = newIndex(ends), newIndex(begins)
	return p
}

// literals returns the literal texts at the beginning and at the end of a pattern in the syntax of path.Match.
func literals(pattern string) (begin, end string) {
	var text strings.Builder
	whole := true
	next := func() { // a part of the pattern that is not literal ends the text before it
		if whole {
			begin, whole = text.String(), false
		}
		text.Reset()
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?':
			next()
		case '[':
			next()
			for i++; i < len(pattern) && pattern[i] != ']'; i++ {
				if pattern[i] == '\\' {
					i++
				}
			}
		case '\\':
			if i++; i < len(pattern) {
				text.WriteByte(pattern[i])
			}
		default:
			text.WriteByte(c)
		}
	}
	if end = text.String(); whole {
		begin = end
	}
	return begin, end
}

// A cursor is the position of a name or path in an index. Its mounts are those of x[at] and of its parents or, if x is
// nil, the mounts in list.
type cursor struct {
	x    index
	at   int
	list []int
}

// next returns the first mount of the cursor after the mount m, or -1.
func (c *cursor) next(m int) int {
	if c.x != nil {
		return c.x.next(c.at, m)
	}
	i, _ := slices.BinarySearch(c.list, m+1)
	if i == len(c.list) {
		return -1
	}
	return c.list[i]
}

// cursors appends the positions of a name to list. buffer is memory for the name in reverse.
func (p *patterns) cursors(list []cursor, name []byte, buffer *[]byte) []cursor {
	if len(p.ends) > 0 {
		*buffer = append((*buffer)[:0], name...)
		slices.Reverse(*buffer)
		list = add(list, cursor{x: p.ends, at: p.ends.find(*buffer)})
	}
	if len(p.begins) > 0 {
		list = add(list, cursor{x: p.begins, at: p.begins.find(name)})
	}
	if len(p.others) > 0 {
		list = add(list, cursor{list: p.others})
	}
	return list
}

// add appends c to list, unless c is empty or equal to the last cursors of list.
func add(list []cursor, c cursor) []cursor {
	same := func(other cursor) bool {
		return other.at == c.at && unsafe.SliceData(other.x) == unsafe.SliceData(c.x) &&
			unsafe.SliceData(other.list) == unsafe.SliceData(c.list)
	}
	if c.at < 0 || slices.ContainsFunc(list[max(0, len(list)-recent):], same) {
		return list
	}
	return append(list, c)
}

// recent is the number of cursors with which add compares a cursor, because a path can have many equal segments.
const recent = 8

// Patterns is a set of patterns in the syntax of path.Match. A Patterns is immutable, and safe for concurrent use.
type Patterns struct {
	list  []string
	names *patterns
}

func NewPatterns(list []string) *Patterns {
	numbers := make([]int, len(list))
	for i := range numbers {
		numbers[i] = i
	}
	return &Patterns{list, newPatterns(numbers, func(i int) (string, bool) { return list[i], true })}
}

// Fit reports whether a name matches a pattern of the set. A nil set has no patterns.
func (p *Patterns) Fit(name string) bool {
	if p == nil || p.names == nil {
		return false
	}
	var buffer []byte
	var memory [3]cursor
	for _, c := range p.names.cursors(memory[:0], []byte(name), &buffer) {
		for i := c.next(-1); i >= 0; i = c.next(i) {
			if ok, _ := path.Match(p.list[i], name); ok {
				return true
			}
		}
	}
	return false
}
