package settings

import (
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A walker creates tables with line numbers from a text that the TOML library has accepted, because the library returns
// no line numbers. A walker only finds where values end and does not check the values.
type walker struct {
	token string // "" at the end of the text
	line  int
	text  string // the rest of the text, which begins with token
}

const (
	signs = "[]{}=,."
	other = signs + " \t\r\f\n#\"'" // characters that end a word
)

// nextToken returns the bounds of the first token of a text: a string of one of the four kinds, a comment, the end of a
// line, a sign, or a word. A quote whose string does not end is skipped. start is -1 without a token.
func nextToken(text string) (start, end int) {
	for start = 0; start < len(text); start++ {
		switch c := text[start]; {
		case c == '"' || c == '\'':
			if length := stringLength(text[start:]); length > 0 {
				return start, start + length
			}
		case c == '#':
			if end := strings.IndexByte(text[start:], '\n'); end >= 0 {
				return start, start + end
			}
			return start, len(text)
		case c == '\n' || strings.IndexByte(signs, c) >= 0:
			return start, start + 1
		case strings.IndexByte(other, c) < 0:
			if end := strings.IndexAny(text[start:], other); end >= 0 {
				return start, start + end
			}
			return start, len(text)
		}
	}
	return -1, -1
}

// stringLength returns the length of the string with which a text begins, with its quotes, or 0 if the string does not
// end. A string with three quotes can contain one or two quotes directly before its end.
func stringLength(text string) int {
	quote := text[:1]
	begin, last := quote, quote
	if three := strings.Repeat(quote, 3); strings.HasPrefix(text, three) {
		begin, last = three, three
	}
	for i := len(begin); i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == `"`:
			i++
		case strings.HasPrefix(text[i:], last):
			end := i + len(last)
			for len(last) == 3 && end < min(i+5, len(text)) && text[end:end+1] == quote {
				end++
			}
			return end
		}
	}
	if len(begin) == 3 {
		return 2 // an empty string, and a quote that begins another one
	}
	return 0
}

func (w *walker) next() {
	for {
		w.line += strings.Count(w.token, "\n")
		w.text = w.text[len(w.token):]
		start, end := nextToken(w.text)
		if start < 0 {
			w.token, w.text = "", ""
			return
		}
		w.token, w.text = w.text[start:end], w.text[start:]
		if w.token[0] != '#' {
			return
		}
	}
}

func (w *walker) skip(tokens ...string) {
	for slices.Contains(tokens, w.token) {
		w.next()
	}
}

func (w *walker) document(top *TOMLTable) {
	t := top
	w.next()
	for w.skip("\n"); w.token != ""; w.skip("\n") {
		if w.token == "[" {
			t = w.header(top)
		} else {
			w.pair(t)
		}
	}
}

func (w *walker) header(t *TOMLTable) *TOMLTable {
	line := w.line
	w.next()
	another := w.token == "["
	w.skip("[")
	keys := w.keys()
	for i, key := range keys {
		t = t.enter(key, line, another && i == len(keys)-1)
	}
	w.skip("]")
	return t
}

// enter returns the table of a key. If the key is an array of tables, enter returns its last element or, if another is
// true, appends an element.
func (t *TOMLTable) enter(key string, line int, another bool) *TOMLTable {
	i := slices.IndexFunc(t.Entries, func(v TOMLValue) bool { return v.Key == key })
	if i < 0 {
		i = len(t.Entries)
		t.Entries = append(t.Entries, TOMLValue{File: t.File, Key: key, Line: line})
	}
	v := &t.Entries[i]
	made := &TOMLTable{File: t.File, Name: t.below(key), Line: line}
	list, isArray := v.Any.([]TOMLValue)
	switch {
	case another:
		v.Any = append(list, TOMLValue{File: t.File, Key: key, Line: line, Any: made})
		return made
	case isArray:
		return list[len(list)-1].Any.(*TOMLTable)
	case v.Any == nil:
		v.Any = made
	}
	return v.Any.(*TOMLTable)
}

func (t *TOMLTable) below(key string) string { return strings.TrimPrefix(t.Name+"."+key, ".") }

func (w *walker) pair(t *TOMLTable) {
	line, keys := w.line, w.keys()
	key := keys[len(keys)-1]
	for _, outer := range keys[:len(keys)-1] {
		t = t.enter(outer, line, false)
	}
	w.skip("=")
	v := TOMLValue{File: t.File, Key: key, Line: line}
	w.value(&v, t.below(key))
	t.Entries = append(t.Entries, v)
}

func (w *walker) keys() (parts []string) {
	for {
		key := strings.Trim(w.token, "'")
		if strings.HasPrefix(key, `"`) {
			key, _ = scalar(key).(string)
		}
		parts = append(parts, key)
		if w.next(); w.token != "." {
			return parts
		}
		w.next()
	}
}

// value reads the text of a value into v. If the value is a table, name becomes the name of the table.
func (w *walker) value(v *TOMLValue, name string) {
	switch w.token {
	case "[":
		w.next()
		list := []TOMLValue{}
		for w.more() {
			item := TOMLValue{File: v.File, Key: v.Key, Line: w.line}
			w.value(&item, name)
			list = append(list, item)
		}
		v.Any = list
	case "{":
		w.next()
		t := &TOMLTable{File: v.File, Name: name, Line: v.Line}
		for w.more() {
			w.pair(t)
		}
		v.Any = t
	default:
		text := w.text
		for w.token != "" && !strings.Contains("\n,]}", w.token) {
			w.next()
		}
		v.Any = scalar(text[:len(text)-len(w.text)])
	}
}

func (w *walker) more() bool {
	if w.skip("\n", ","); w.token == "]" || w.token == "}" {
		w.next()
		return false
	}
	return w.token != ""
}

// A moment is a date, a time, or both, as written in the file.
type moment string

// scalar parses a string, number, boolean or time, with an optional comment after the value.
func scalar(text string) any {
	// Most values are simple strings, for which the library would take much longer.
	plain := strings.Trim(text, `"`)
	if len(plain) == len(text)-2 && text[0] == '"' && !strings.ContainsAny(plain, "\"\\\r\n") {
		return plain
	}
	var holder struct{ X any }
	_, _ = toml.Decode("X = "+strings.TrimSpace(text), &holder) // the library has accepted it
	if _, isTime := holder.X.(time.Time); isTime {
		text, _, _ = strings.Cut(text, "#")
		return moment(strings.TrimSpace(text))
	}
	return holder.X
}

// Nearest returns the name that the user most likely meant with a misspelt name, or "" if no name is similar enough.
// Separators are ignored, so that maxbody counts as the beginning of max-body-size.
func Nearest(wrong string, names []string) string {
	typed, best, bestLetters := letters(wrong), "", ""
	// allow one wrong letter in three, so that --foo does not mean --loop
	least := max(len(typed)/3, 1)
	for _, name := range names {
		known := letters(name)
		d := distance(typed, known)
		if isPart(wrong, name) {
			d = min(d, 1)
		}
		more := begin(typed, known) - begin(typed, bestLetters)
		closer := best == "" || more > 0 || more == 0 && len(known) < len(bestLetters)
		// skip names of two letters, which would be similar to every word
		if len(name) > 2 && (d < least || d == least && closer) {
			best, bestLetters, least = name, known, d
		}
	}
	return best
}

func letters(name string) string { return separators.Replace(strings.ToLower(name)) }

var separators = strings.NewReplacer("-", "", "_", "")

// isPart reports whether name contains wrong, a misspelt text, or all words of wrong in any order.
func isPart(wrong, name string) bool {
	typed, known := letters(wrong), letters(name)
	if at := strings.Index(known, typed); at == 0 && len(typed) >= 4 || at > 0 && len(typed) >= 6 {
		return true
	}
	words := strings.Split(strings.ReplaceAll(strings.ToLower(wrong), "_", "-"), "-")
	has := strings.Split(name, "-")
	return len(words) > 1 && !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(has, word) })
}

func begin(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

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
