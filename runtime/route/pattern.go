package route

import (
	"path"
	"strings"
	"unsafe"
)

// namePattern matches names of files: Mount.Match.
type namePattern struct {
	suffix string // of "*suffix", the usual one
	glob   string // other patterns, as path.Match has them
}

// newPattern returns the pattern, or path.ErrBadPattern.
func newPattern(text string) (namePattern, error) {
	if rest, ok := strings.CutPrefix(text, "*"); ok && rest != "" && !strings.ContainsAny(rest, `*?[\/`) {
		return namePattern{suffix: rest}, nil
	}
	if _, err := path.Match(text, ""); err != nil || strings.Contains(text, "/") {
		return namePattern{}, path.ErrBadPattern
	}
	return namePattern{glob: text}, nil
}

func (p *namePattern) matches(segment []byte) bool {
	if p.glob == "" {
		n := len(segment) - len(p.suffix)
		return n >= 0 && string(segment[n:]) == p.suffix
	}
	ok, _ := path.Match(p.glob, unsafe.String(unsafe.SliceData(segment), len(segment)))
	return ok
}

// find returns the end of the first segment of p[from:] that matches, or, if
// whole, of the last one if that does; -1: none.
func (p *namePattern) find(name []byte, from int, whole bool) int {
	for start := from; start <= len(name); {
		end := start
		for end < len(name) && name[end] != '/' {
			end++
		}
		if end > start && (!whole || end == len(name)) && p.matches(name[start:end]) {
			return end
		}
		start = end + 1
	}
	return -1
}
