package settings

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// sep stands between the parts of a path in locator.lines; no key has it, as TOML allows no control characters in
// one, unless it is escaped, which only spoils the messages about that file.
const sep = "\x1f"

func element(path string, i int) string { return path + sep + "#" + strconv.Itoa(i) }

// locator finds the line of each key of a text that the TOML reader has
// accepted. The reader itself tells no positions where keys repeat, as those of
// [[host]] do. It must only find the ends of values, not check them.
type locator struct {
	text   string
	pos    int
	line   int
	table  string           // path of the table that keys are in
	lines  map[string]place // by path
	arrays map[string]int   // elements of arrays of tables so far, by path
}

// place is where a key or an element stands.
type place struct{ line, offset int }

func (l *locator) here() place { return place{l.line, l.pos} }

func (l *locator) document() {
	for l.blank(true); l.pos < len(l.text); l.blank(true) {
		if l.text[l.pos] == '[' {
			l.header()
		} else {
			l.pair(l.table)
		}
	}
}

// blank skips space and comments, and ends of lines too if all.
func (l *locator) blank(all bool) {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n' && all:
			l.line++
			l.pos++
		case c == '\r' && all, c == ' ', c == '\t', c == '\xef' && strings.HasPrefix(l.text[l.pos:], "\xef\xbb\xbf"):
			l.pos++
			if c == '\xef' {
				l.pos += 2
			}
		case c == '#':
			l.skipLine()
		default:
			return
		}
	}
}

// header reads [a.b] or [[a.b]].
func (l *locator) header() {
	here := l.here()
	l.pos++
	double := l.peek() == '['
	if double {
		l.pos++
	}
	path := ""
	parts := l.keys()
	for i, part := range parts {
		path += sep + part
		if _, known := l.lines[path]; !known {
			l.lines[path] = here
		}
		n, isArray := l.arrays[path]
		if double && i == len(parts)-1 {
			l.arrays[path] = n + 1
			path = element(path, n)
			l.lines[path] = here
		} else if isArray {
			path = element(path, n-1)
		}
	}
	if !double {
		l.lines[path] = here // where it is written itself
	}
	l.table = path
	l.skipLine()
}

// skipLine goes to the end of the line.
func (l *locator) skipLine() {
	if end := strings.IndexByte(l.text[l.pos:], '\n'); end >= 0 {
		l.pos += end
	} else {
		l.pos = len(l.text)
	}
}

// pair reads key = value, the key in the table at path.
func (l *locator) pair(path string) {
	start := l.pos
	for _, part := range l.keys() {
		path += sep + part
		if _, known := l.lines[path]; !known {
			l.lines[path] = l.here()
		}
	}
	l.blank(false)
	if l.peek() == '=' {
		l.pos++
	}
	l.blank(false)
	l.value(path)
	if l.pos == start {
		l.pos++ // never stand still
	}
}

// keys reads a key with its dots.
func (l *locator) keys() (parts []string) {
	for {
		l.blank(false)
		start := l.pos
		switch c := l.peek(); c {
		case '"':
			l.skipString(c)
			parts = append(parts, unquote(l.text[start:l.pos]))
		case '\'':
			l.skipString(c)
			parts = append(parts, strings.Trim(l.text[start:l.pos], "'"))
		default:
			for l.pos < len(l.text) && !strings.ContainsRune(" \t\r\n.=]#,{}[\"'", rune(l.text[l.pos])) {
				l.pos++
			}
			parts = append(parts, l.text[start:l.pos])
		}
		l.blank(false)
		if l.peek() != '.' {
			return parts
		}
		l.pos++
	}
}

// value reads a value; those inside it get path and their key or index.
func (l *locator) value(path string) {
	switch c := l.peek(); c {
	case '"', '\'':
		l.skipString(c)
	case '[':
		l.pos++
		for i := 0; l.more(']'); i++ {
			start := l.pos
			l.lines[element(path, i)] = l.here()
			l.value(element(path, i))
			l.comma(start)
		}
	case '{':
		l.pos++
		for l.more('}') {
			start := l.pos
			l.pair(path)
			l.comma(start)
		}
	default:
		for l.pos < len(l.text) && !strings.ContainsRune("\r\n#,]}", rune(l.text[l.pos])) {
			l.pos++
		}
	}
}

// more skips to the next item, or past the bracket that ends them.
func (l *locator) more(end byte) bool {
	l.blank(true)
	if l.peek() == end {
		l.pos++
		return false
	}
	return l.pos < len(l.text)
}

// comma goes on to behind the comma that may follow an item, and on in any case
// from where the item began.
func (l *locator) comma(start int) {
	l.blank(true)
	if l.peek() == ',' || l.pos == start {
		l.pos++
	}
}

// skipString skips a string of one of the four kinds, whose first quote is c.
func (l *locator) skipString(c byte) {
	quote := l.text[l.pos : l.pos+1]
	long := strings.HasPrefix(l.text[l.pos:], strings.Repeat(quote, 3))
	if long {
		quote = strings.Repeat(quote, 3)
	}
	for l.pos += len(quote); l.pos < len(l.text); l.pos++ {
		switch {
		case l.text[l.pos] == '\n':
			l.line++
		case c == '"' && l.text[l.pos] == '\\':
			l.pos++
			if l.pos < len(l.text) && l.text[l.pos] == '\n' {
				l.line++
			}
		case strings.HasPrefix(l.text[l.pos:], quote):
			l.pos += len(quote)
			for n := 0; long && n < 2 && l.peek() == c; n++ {
				l.pos++ // TOML: up to two quotes before the three that end it
			}
			return
		}
	}
}

func (l *locator) peek() byte {
	if l.pos < len(l.text) {
		return l.text[l.pos]
	}
	return 0
}

// unquote returns the key that a basic string is.
func unquote(quoted string) string {
	var holder struct{ X string }
	if _, err := toml.Decode("X = "+quoted, &holder); err != nil {
		return strings.Trim(quoted, `"`)
	}
	return holder.X
}

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
