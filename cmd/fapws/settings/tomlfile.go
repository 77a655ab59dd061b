package settings

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"fapws/cmd/fapws/process"
)

type TOMLFile struct {
	Name string
	Dir  string
	// AppDir is the directory in which scripts and modules of applications are searched: that of the setting chdir if it
	// is set, otherwise Dir.
	AppDir string
	// WorkDir is the working directory if the file is in a bundle, otherwise "".
	WorkDir string
	Top     *TOMLTable
	// Inside is the file of the bundle whose keys this file overrides, otherwise nil.
	Inside *TOMLFile

	// Misplaced, if not nil, returns advice about a key that is unknown in a table, or "". table is, for example,
	// "host.route", or "" for the top of the file.
	Misplaced func(table, key string) string
}

// A TOMLTable is a table in a file, possibly an inline table.
type TOMLTable struct {
	File    *TOMLFile
	Name    string // the name of the table in the file, such as "host.route"; "" for the top of the file
	Line    int    // the first line of the table; 0 for the top of the file
	Entries []TOMLValue

	Rejected []string // keys with mistakes that DecodeTOML has reported
}

// TOMLValue is a key with its value, or an element in an array.
type TOMLValue struct {
	File *TOMLFile
	// key relative to the enclosing tables; for an element of an array, the key of the array
	Key  string
	Line int
	// the value: a string, int64, float64, bool, []TOMLValue, *TOMLTable or moment
	Any any
}

// The text of an error is one line with the line number and the column, such as "name:3:14: …".
// keys returns the keys that are no settings, for examples of their values; it may be nil.
func ParseTOML(name, dir string, text []byte, keys func() []KeyDoc) (*TOMLFile, error) {
	if _, err := toml.Decode(string(text), &map[string]any{}); err != nil {
		return nil, syntaxError(name, string(text), err, keys)
	}
	f := &TOMLFile{Name: name, Dir: dir, AppDir: dir}
	f.Top = &TOMLTable{File: f}
	w := &walker{text: strings.TrimPrefix(string(text), "\ufeff"), line: 1}
	w.document(f.Top)
	return f, nil
}

// override adds the keys of inside, a file of a bundle, that f does not set. Tables are merged by key. All other values,
// also arrays of tables, replace those of inside.
func (f *TOMLFile) override(inside *TOMLFile) {
	f.Inside, f.Top.Entries = inside, merge(f.Top.Entries, inside.Top.Entries)
}

// merge returns the entries of two tables. A table in both becomes one with the position in base, so that the directory of
// an application does not change if another file overrides one of its settings.
func merge(entries, base []TOMLValue) []TOMLValue {
	for _, v := range base {
		i := slices.IndexFunc(entries, func(one TOMLValue) bool { return one.Key == v.Key })
		if i < 0 {
			entries = append(entries, v)
			continue
		}
		over, isTable := entries[i].Any.(*TOMLTable)
		if below, both := v.Any.(*TOMLTable); isTable && both {
			below.Entries = merge(over.Entries, below.Entries)
			entries[i] = v
		}
	}
	return entries
}

// Each calls do for f and the file that it overrides.
func (f *TOMLFile) Each(do func(f *TOMLFile)) {
	for ; f != nil; f = f.Inside {
		do(f)
	}
}

// OneLine replaces bytes that would end a line or confuse a terminal.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func (v TOMLValue) IsTables() bool {
	list, isList := v.Any.([]TOMLValue)
	if isList && len(list) > 0 {
		v = list[0]
	}
	_, isTable := v.Any.(*TOMLTable)
	return isTable
}

func (v TOMLValue) isArrayOfTables() bool {
	_, isTable := v.Any.(*TOMLTable)
	return v.IsTables() && !isTable
}

func (v TOMLValue) Errorf(format string, args ...any) error {
	return v.File.Errorf(v.Line, format, args...)
}

func (f *TOMLFile) Errorf(line int, format string, args ...any) error {
	err := fmt.Errorf(format, process.ExitPlainArgs(args)...)
	return &Mistake{File: f.Name, Line: line, Text: OneLine(err.Error()), err: errors.Unwrap(err)}
}

type Mistake struct {
	File string
	Line int
	Text string
	err  error // the wrapped error; nil if the format contains no %w
}

func (m *Mistake) Unwrap() error { return m.err }

func (m *Mistake) Error() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text) }

// JoinPath joins different errors: first errors without a place in the file, then mistakes in the file in the order of
// their lines.
func JoinPath(errs ...error) error {
	var all []error
	seen := map[string]bool{}
	var add func(err error)
	add = func(err error) {
		if several, ok := joinedIn(err); ok {
			for _, one := range several {
				add(one)
			}
		} else if err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			all = append(all, process.ExitPlain(err))
		}
	}
	for _, err := range errs {
		add(err)
	}
	line := func(err error) int {
		if m, ok := errors.AsType[*Mistake](err); ok {
			return m.Line
		} else if place := placed().FindStringSubmatch(err.Error()); place != nil {
			n, _ := strconv.Atoi(place[1])
			return n
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b error) int { return line(a) - line(b) })
	return errors.Join(all...)
}

// placed matches an error that begins with the place of a setting (Settings.Origin) or table (TOMLTable.Key).
var placed = Pattern(`^\S+\.toml:(\d+): `)

// joinedIn returns the errors that err joins; ok is false if it joins none.
func joinedIn(err error) (several []error, ok bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			return joined.Unwrap(), true
		}
	}
	return nil, false
}

// Must returns an error that shows v and describes the allowed values, such as "file:3: key = 5, an integer: must be
// …".
func (v TOMLValue) Must(be error) error {
	note := ""
	if _, isTable := v.Any.(*TOMLTable); !isTable {
		note = ", " + v.Type()
	}
	return v.Errorf("%s = %s%s: must be %v", v.Key, v.Show(), note, be)
}

func (v TOMLValue) Type() string {
	switch v.Any.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []TOMLValue:
		return "an array"
	case *TOMLTable:
		return "a table"
	}
	return "a date or time"
}

func (v TOMLValue) Show() string { return shown(v.plain(), strconv.FormatBool) }

func (v TOMLValue) plain() any {
	list, isArray := v.Any.([]TOMLValue)
	if !isArray {
		return v.Any
	}
	items := make([]any, len(list))
	for i := range list {
		items[i] = list[i].plain()
	}
	return items
}

// syntaxText contains the explanations of common mistakes.
//
//go:embed syntax.txt
var syntaxText string

// syntaxError converts an error from the TOML library to one line, such as "name:3:14: …". Columns are counted in
// characters.
func syntaxError(name, text string, err error, keys func() []KeyDoc) error {
	at, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return fmt.Errorf("%s:1:1: %s", name, OneLine(err.Error()))
	}
	message := at.Message
	if message == "" {
		message = at.Error()
	}
	start := placeOf(text, min(max(at.Position.Start, 0), len(text)), message)
	// If the end of a line is wrong, the TOML library reports the next line.
	begin := strings.LastIndexByte(text[:start], '\n') + 1
	line, _, _ := strings.Cut(text[begin:], "\n")
	words := strings.TrimSuffix(message, ".")
	for one := range Texts(syntaxText) {
		ofMessage, ofLine, _ := strings.Cut(one.Head, "~")
		pattern := regexp.MustCompile(strings.TrimSpace(ofLine))
		match := pattern.FindStringSubmatchIndex(strings.TrimSuffix(line, "\r"))
		if match != nil && regexp.MustCompile(strings.TrimSpace(ofMessage)).MatchString(message) {
			words = string(pattern.ExpandString(nil, one.Text, line, match))
			if strings.Contains(words, "%e") {
				words = strings.ReplaceAll(words, "%e", exampleOf(line[match[2]:match[3]], keys))
			}
			break
		}
	}
	return fmt.Errorf("%s:%d:%d: %s", name, strings.Count(text[:start], "\n")+1,
		utf8.RuneCountInString(text[begin:start])+1, OneLine(words))
}

// exampleOf returns an assignment to a key, with the example of the documentation if the key is known.
func exampleOf(key string, keys func() []KeyDoc) string {
	for _, row := range table() {
		if value := row.example(); row.Name == key && value != "" {
			return key + " = " + value
		}
	}
	if keys != nil {
		for _, doc := range keys() {
			if value := doc.firstValue(); doc.Key == key && value != "" {
				return key + " = " + value
			}
		}
	}
	return key + ` = 4, or ` + key + ` = "text"`
}

// placeOf corrects offset, the place at which the TOML library has reported a mistake. It returns the offset of the
// unclosed quote or bracket, of the backslash, or of the control character.
func placeOf(text string, offset int, message string) int {
	rest := text[offset:]
	switch escape := regexp.MustCompile(`'(\\.)'`).FindStringSubmatch(message); {
	case escape != nil:
		return offset + max(strings.Index(rest, escape[1]), 0)
	case strings.Contains(message, "control characters"):
		return offset + max(strings.IndexFunc(rest, func(c rune) bool {
			return c < ' ' && c != '\t' && c != '\n' || c == 0x7f
		}), 0)
	case strings.Contains(message, "newlines"):
		return unclosed(text[:offset])
	case strings.Contains(message, "unexpected EOF") || strings.Contains(message, "end of file"):
		return unclosed(text)
	}
	return offset + len(rest) - len(strings.TrimLeft(rest, " \t"))
}

// unclosed returns the offset of the last unclosed quote or bracket, or else the length of the text without trailing
// white space.
func unclosed(text string) int {
	var open []int
	end := 0
	for {
		start, length := nextToken(text[end:])
		if start < 0 {
			break
		}
		if quote := strings.IndexAny(text[end:end+start], `"'`); quote >= 0 {
			return end + quote
		}
		start, end = end+start, end+length
		switch text[start:end] {
		case `""`, "''":
			// three quotes begin a string that can span several lines
			if strings.HasPrefix(text[end:], text[start:start+1]) {
				return start
			}
		case "[", "{":
			open = append(open, start)
		case "]", "}":
			open = open[:max(len(open)-1, 0)]
		}
	}
	if quote := strings.IndexAny(text[end:], `"'`); quote >= 0 {
		return end + quote
	}
	if len(open) > 0 {
		return open[len(open)-1]
	}
	return len(strings.TrimRight(text, " \t\r\n"))
}
