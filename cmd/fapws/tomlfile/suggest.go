package tomlfile

import "strings"

// Nearest returns the name that a misspelt one most likely means, or "" when none is near enough.
func Nearest(wrong string, names []string) string {
	for _, name := range names {
		if strings.EqualFold(strings.ReplaceAll(wrong, "_", "-"), name) {
			return name
		}
	}
	best, least := "", max(len(wrong)/3, 1) // of three letters one may be wrong: not --foo for --loop
	for _, name := range names {
		d := distance(wrong, name)
		if len(wrong) >= 4 && strings.HasPrefix(name, wrong) {
			d = 1 // typed only the beginning
		}
		if d < least || d == least && (best == "" || len(name) < len(best)) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
