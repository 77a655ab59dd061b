package settings

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// walker walks through a text that the TOML library has accepted, and through the tree that the library has made of it,
// which knows no lines, at the same time, and makes tables of them. It must only find the ends of values, not check them.
type walker struct {
	token string // "" at the end
	line  int    // where it begins
	rest  string // of the text, behind the token
}

// token is a string of one of the four kinds, a comment, the end of a line, a sign, or a word. Up to two quotes may
// stand before the three that end a string.
var token = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)"""(?:[^\\]|\\.)*?"{3,5}|'''.*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*'|#[^\n]*|\n|[\[\]{}=,.]|[^\s\[\]{}=,.#"']+`)
})

// next goes on to the next token. Comments are skipped.
func (w *walker) next() {
	for {
		w.line += strings.Count(w.token, "\n")
		at := token().FindStringIndex(w.rest)
		if at == nil {
			w.token = ""
			return
		}
		w.token, w.rest = w.rest[at[0]:at[1]], w.rest[at[1]:]
		if w.token[0] != '#' {
			return
		}
	}
}

// skip goes on to the first token that is none of these.
func (w *walker) skip(tokens ...string) {
	for slices.Contains(tokens, w.token) {
		w.next()
	}
}

// document fills the table at the top.
func (w *walker) document(top *TOMLTable, tree any) {
	t, in := top, tree
	w.next()
	for w.skip("\n"); w.token != ""; w.skip("\n") {
		if w.token == "[" {
			t, in = w.header(top, tree)
		} else {
			w.pair(t, in)
		}
	}
}

// header reads [a.b] or [[a.b]], and returns the table that it begins, with its part of the tree.
func (w *walker) header(t *TOMLTable, tree any) (*TOMLTable, any) {
	line := w.line
	w.next()
	another := w.token == "["
	w.skip("[")
	keys := w.keys()
	for i, key := range keys {
		t, tree = t.enter(tree, key, line, another && i == len(keys)-1)
	}
	w.skip("]")
	return t, tree
}

// enter returns the table of a key: with another a new element of an array of tables, else the last one of such an array.
func (t *TOMLTable) enter(tree any, key string, line int, another bool) (*TOMLTable, any) {
	i := slices.IndexFunc(t.Entries, func(v TOMLValue) bool { return v.Key == key })
	if i < 0 {
		i = len(t.Entries)
		t.Entries = append(t.Entries, TOMLValue{File: t.File, Key: key, Line: line})
	}
	v := &t.Entries[i]
	below := member(tree, key)
	made := &TOMLTable{File: t.File, Name: t.below(key), Line: line}
	tables, isArray := below.([]map[string]any)
	if !isArray {
		if v.Any == nil {
			v.Any = made
		}
		return v.Any.(*TOMLTable), below
	}
	list, _ := v.Any.([]TOMLValue)
	if another {
		list = append(list, TOMLValue{File: t.File, Key: key, Line: line, Any: made})
		v.Any = list
	}
	return list[len(list)-1].Any.(*TOMLTable), tables[len(list)-1]
}

// member is that of a table of the tree.
func member(tree any, key string) any {
	table, _ := tree.(map[string]any)
	return table[key]
}

// below is the name of a table in t.
func (t *TOMLTable) below(key string) string { return strings.TrimPrefix(t.Name+"."+key, ".") }

// pair reads key = value into t.
func (w *walker) pair(t *TOMLTable, tree any) {
	line, keys := w.line, w.keys()
	key := keys[len(keys)-1]
	for _, outer := range keys[:len(keys)-1] {
		t, tree = t.enter(tree, outer, line, false)
	}
	w.skip("=")
	v := w.value(TOMLValue{File: t.File, Key: key, Line: line, Any: member(tree, key)}, t.below(key))
	t.Entries = append(t.Entries, v)
}

// keys reads a key with its dots.
func (w *walker) keys() (parts []string) {
	for {
		parts = append(parts, unquote(w.token))
		if w.next(); w.token != "." {
			return parts
		}
		w.next()
	}
}

// value reads a value, and makes tables of those that its part of the tree has. Such a table has the name.
func (w *walker) value(v TOMLValue, name string) TOMLValue {
	switch w.token {
	case "[":
		w.next()
		tree, _ := v.Any.([]any)
		list := make([]TOMLValue, len(tree))
		for i := 0; w.more("]") && i < len(list); i++ {
			list[i] = w.value(TOMLValue{File: v.File, Key: v.Key, Line: w.line, Any: tree[i]}, name)
		}
		v.Any = list
	case "{":
		w.next()
		t := &TOMLTable{File: v.File, Name: name, Line: v.Line}
		for w.more("}") {
			w.pair(t, v.Any)
		}
		v.Any = t
	default:
		for w.token != "" && !strings.Contains("\n,]}", w.token) {
			w.next()
		}
	}
	return v
}

// more goes on to the next item, or past the bracket that ends them.
func (w *walker) more(end string) bool {
	if w.skip("\n", ","); w.token == end {
		w.next()
		return false
	}
	return w.token != ""
}

// unquote returns the key that a token is.
func unquote(token string) string {
	if !strings.HasPrefix(token, `"`) {
		return strings.Trim(token, "'")
	}
	var holder struct{ X string }
	_, _ = toml.Decode("X = "+token, &holder) // the library has accepted it
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
