package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// value reads one setting into its field in a Config. An error from the function parse describes the allowed values: it
// is the end of a sentence that begins with "must be ".
type value struct {
	parse func(text string) error
	show  func() string // the function returns the current value as text, in the form that parse accepts

	// placeholder for the value in the help; "" for a toggle, or if Setting.Arg contains a placeholder
	arg  string
	kind kind
	// description of the allowed values, for the error about a value of the wrong type in a file; "" if parse describes
	// them
	file   string
	script string
	clear  func()
	// the function clears the list, to override a default; nil if an empty list is not allowed
	empty func()
	words []string
}

type kind int

const (
	isText kind = 1 << iota
	isBool
	isNumber
	isFloat
	isList // a list, for which the flag can also be repeated
)

func of[T any](to *T, kind kind, read func(text string) (T, error), show func(T) string) *value {
	parse := func(text string) error {
		x, err := read(text)
		if err == nil {
			*to = x
		}
		return err
	}
	clear := func() { *to = *new(T) }
	return &value{kind: kind, parse: parse, clear: clear, show: func() string { return show(*to) }}
}

func itself(s string) string { return s }

// The method reads makes v accept synonyms. synonyms maps each synonym, in lower case, to the text that is parsed
// instead.
func (v *value) reads(synonyms map[string]string) *value {
	parse := v.parse
	v.parse = func(text string) error {
		if meant, ok := synonyms[strings.ToLower(strings.TrimSpace(text))]; ok {
			text = meant
		}
		return parse(text)
	}
	return v
}

func (v *value) called(arg string) *value {
	v.arg = arg
	return v
}

func (v *value) wrong(allowed string) error {
	if allowed != "" {
		return errors.New(allowed)
	}
	return v.parse("\x00") // a text that no setting accepts
}

// single converts a value from a file or a script to text; ok is false for a list.
func (v *value) single(x any) (text string, ok bool) {
	switch x := x.(type) {
	case string:
		return x, v.kind&isText != 0
	case bool:
		return strconv.FormatBool(x), v.kind&isBool != 0
	case int64:
		return strconv.FormatInt(x, 10), v.kind&isNumber != 0
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), v.kind&isFloat != 0
	case json.Number: // a number from the script, as read by a different worker
		return x.String(), v.kind&isNumber != 0
	}
	return "", false
}

// read reads the value x, which comes from a file or a script. The type of x is int64, float64, string, bool, []any, or
// a type that no setting allows. read applies edit to each text.
func (v *value) read(x any, allowed string, edit func(string) string) error {
	list, isArray := x.([]any)
	switch {
	case !isArray:
		list = []any{x}
	case v.kind&isList == 0:
		return v.wrong(allowed)
	case len(list) == 0 && v.empty == nil:
		return errors.New("at least one string")
	case len(list) == 0:
		v.empty()
		return nil
	}
	texts := make([]string, len(list))
	for i, one := range list {
		text, ok := v.single(one)
		if !ok {
			return v.wrong(allowed)
		} else if isArray && strings.Contains(text, ",") {
			return errors.New("strings without commas")
		}
		texts[i] = edit(text)
	}
	return v.parse(strings.Join(texts, ","))
}

func count(to *int, least, most int) *value {
	return of(to, isNumber, func(text string) (int, error) {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("an integer from %d to %d", least, most)
		}
		return n, nil
	}, strconv.Itoa).called("N")
}

// debugLevel returns the kind of value for a number from 0 to 3. As in other servers, the words "on" for 1 and "off"
// for 0 are allowed, too.
func debugLevel(to *int) *value {
	v := count(to, 0, 3).reads(switches("1", "0"))
	v.kind |= isBool
	v.file, v.words = "true, false, or an integer from 0 to 3", []string{"0", "1", "2", "3"}
	return v
}

func size[T int | int64](to *T, least, most T) *value {
	show := func(n T) string { return showSize(int64(n)) }
	return of(to, isText|isNumber, func(text string) (T, error) {
		n, ok := parseSize(text)
		if !ok || n < int64(least) || n > int64(most) {
			return 0, fmt.Errorf("a number of bytes, or one with K, M, G or T, from %s to %s", show(least), show(most))
		}
		return T(n), nil
	}, show).called("SIZE")
}

func duration(to *time.Duration, least time.Duration) *value {
	return of(to, isText|isNumber|isFloat, func(text string) (time.Duration, error) {
		d, ok := ParseDuration(text)
		if !ok || d < least || d > longest {
			return 0, fmt.Errorf("seconds, or a time such as 500ms, 30s, 5m, 1h or 7d, from %s to a year", showDuration(least))
		}
		return d, nil
	}, showDuration).called("TIME")
}

const longest = 366 * 24 * time.Hour

func text(to *string) *value {
	v := like("a name, not empty", isGiven)(to)
	v.file = "a string"
	return v
}

// shown formats a value from a file or a script for an error message, with the function boolean for booleans.
func shown(x any, boolean func(bool) string) string {
	switch x := x.(type) {
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return strconv.FormatFloat(x, 'f', 1, 64)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	case string:
		return shorten(strconv.Quote(x))
	case bool:
		return boolean(x)
	case []any:
		return shorten("[" + join(x, ", ", func(one any) string { return shown(one, boolean) }) + "]")
	case *TOMLTable:
		return shorten("{ " + join(x.Entries, ", ", func(v TOMLValue) string { return v.Key + " = " + v.Show() }) + " }")
	}
	return shorten(fmt.Sprint(x))
}

func join[T any](list []T, separator string, text func(T) string) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = text(one)
	}
	return strings.Join(texts, separator)
}

func shorten(s string) string {
	const enough = 60
	if len(s) <= enough {
		return s
	}
	return strings.ToValidUTF8(s[:enough], "") + "..."
}

// parseSize parses a number of bytes, such as "500", "64K", "10M", "1.5G", "10MB" or "10MiB". K is 1024.
func parseSize(s string) (int64, bool) {
	number, factor := strings.ToUpper(strings.TrimSpace(s)), 1.0
	number = strings.TrimSuffix(strings.TrimSuffix(number, "B"), "I")
	if n := len(number) - 1; n > 0 && strings.IndexByte("KMGT", number[n]) >= 0 {
		factor = float64(int64(1024) << (10 * strings.IndexByte("KMGT", number[n])))
		number = number[:n]
	}
	if !plainNumber(number) || factor == 1 && strings.Contains(number, ".") {
		return 0, false
	}
	f, err := strconv.ParseFloat(number, 64)
	return int64(f * factor), err == nil && f*factor <= 1<<53
}

// showSize returns the shortest text that parseSize converts to exactly this size.
func showSize(n int64) string {
	for _, u := range []struct {
		letter string
		shift  uint
	}{{"T", 40}, {"G", 30}, {"M", 20}, {"K", 10}} {
		if n >= 1<<u.shift && n&(1<<u.shift-1) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + u.letter
		}
	}
	return strconv.FormatInt(n, 10)
}

// longUnits maps units of time that time.ParseDuration does not know to their length in seconds.
var longUnits = map[byte]float64{'y': 365 * 86400, 'w': 7 * 86400, 'd': 86400}

var long = Pattern(`[0-9.]+[ywd]`)

// Pattern returns a function that compiles a regular expression at its first call, because a start needs few
// expressions.
func Pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// ParseDuration parses a number of seconds, or numbers with units, such as "75", "500ms" and "1d12h". The units are y
// (365 days), w, d, and the units of time.ParseDuration.
func ParseDuration(s string) (d time.Duration, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if plainNumber(s) {
		s += "s"
	}
	if strings.ContainsAny(s, "ywd") { // few durations have these units, and regular expressions take time and memory
		s = long().ReplaceAllStringFunc(s, func(part string) string {
			end := len(part) - 1
			n, err := strconv.ParseFloat(part[:end], 64)
			if err != nil {
				return part // time.ParseDuration rejects this number, which contains two points
			}
			return strconv.FormatFloat(n*longUnits[part[end]], 'f', 6, 64) + "s"
		})
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

func showDuration(d time.Duration) string {
	for _, u := range []struct {
		letter string
		is     time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.is; n > 0 && d%u.is == 0 && (n > 1 || u.letter != "m") { // prefer "60s" to "1m"
			return strconv.FormatInt(int64(n), 10) + u.letter
		}
	}
	return d.String()
}

// plainNumber reports whether s consists only of digits and points. Package strconv would also accept signs, exponents,
// hexadecimal numbers, "inf" and "_".
func plainNumber(s string) bool {
	return strings.Trim(s, "0123456789.") == "" && strings.Trim(s, ".") != "" && strings.Count(s, ".") < 2
}
