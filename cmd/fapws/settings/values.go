package settings

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value reads one setting into its field of a Config. The errors of its
// methods name the allowed values; their text follows "must be ".
type value interface {
	fromText(string) error // of a flag, the environment, the table
	fromScript(any) error  // int64, float64, string, bool, []any or Object
	String() string        // as fromText reads it
}

// Object stands for a value of the script that no setting can have: anything
// but a number, a string, a bool or a list.
type Object struct {
	Repr string // as repr() shows it
}

// count is an integer in a range.
type count struct {
	to       *int
	min, max int
}

func (v *count) fromText(s string) error {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return v.allowed()
	}
	return v.put(int64(n))
}

func (v *count) fromScript(x any) error {
	n, ok := x.(int64) // True is an int for Python; a setting is not a truth
	if !ok {
		return v.allowed()
	}
	return v.put(n)
}

func (v *count) put(n int64) error {
	if n < int64(v.min) || n > int64(v.max) {
		return v.allowed()
	}
	*v.to = int(n)
	return nil
}

func (v *count) allowed() error { return fmt.Errorf("an integer from %d to %d", v.min, v.max) }
func (v *count) String() string { return strconv.Itoa(*v.to) }

// debugLevel is a count from 0 to 3; on and off, as other servers have it, are 1 and 0.
type debugLevel struct{ count }

func (v *debugLevel) fromText(s string) error {
	var on bool
	if (&toggle{&on}).fromText(s) == nil {
		return v.fromScript(on)
	}
	return v.count.fromText(s)
}

func (v *debugLevel) fromScript(x any) error {
	switch x {
	case true:
		x = int64(1)
	case false:
		x = int64(0)
	}
	return v.count.fromScript(x)
}

// size is a number of bytes in a range.
type size[T int | int64] struct {
	to       *T
	min, max T
}

func (v *size[T]) fromText(s string) error {
	n, ok := ParseSize(s)
	if !ok {
		return v.allowed()
	}
	return v.put(n)
}

func (v *size[T]) fromScript(x any) error {
	switch x := x.(type) {
	case int64:
		return v.put(x)
	case string:
		return v.fromText(x)
	}
	return v.allowed()
}

func (v *size[T]) put(n int64) error {
	if n < int64(v.min) || n > int64(v.max) {
		return v.allowed()
	}
	*v.to = T(n)
	return nil
}

func (v *size[T]) allowed() error {
	return fmt.Errorf("a number of bytes, or one with K, M or G, from %s to %s",
		showSize(int64(v.min)), showSize(int64(v.max)))
}

func (v *size[T]) String() string { return showSize(int64(*v.to)) }

// duration is a time of up to a year.
type duration struct {
	to  *time.Duration
	min time.Duration
}

const longest = 366 * 24 * time.Hour

func (v *duration) fromText(s string) error {
	d, ok := ParseDuration(s)
	return v.put(d, ok)
}

func (v *duration) fromScript(x any) error {
	switch x := x.(type) {
	case int64:
		return v.put(seconds(float64(x)))
	case float64:
		return v.put(seconds(x))
	case string:
		return v.fromText(x)
	}
	return v.put(0, false)
}

func (v *duration) put(d time.Duration, ok bool) error {
	if !ok || d < v.min || d > longest {
		return fmt.Errorf("seconds, or a time such as 500ms, 30s, 5m, 1h or 7d, from %s to a year", showDuration(v.min))
	}
	*v.to = d
	return nil
}

func (v *duration) String() string { return showDuration(*v.to) }

// text is any string without a NUL byte.
type text struct{ to *string }

func (v *text) fromText(s string) error {
	if s == "" || strings.ContainsRune(s, 0) {
		return errors.New("a name, not empty")
	}
	*v.to = s
	return nil
}

func (v *text) fromScript(x any) error {
	s, ok := x.(string)
	if !ok {
		return errors.New("a string")
	}
	return v.fromText(s)
}

func (v *text) String() string { return *v.to }

// level is one of LogLevels. A script may use the numbers of Python's logging.
type level struct{ to *string }

func (v *level) fromText(s string) error {
	s = strings.ToLower(strings.TrimSpace(s))
	switch s {
	case "warn":
		s = "warning"
	case "critical", "fatal":
		s = "error"
	}
	if !slices.Contains(LogLevels, s) {
		return errors.New("debug, info, warning or error")
	}
	*v.to = s
	return nil
}

func (v *level) fromScript(x any) error {
	switch x := x.(type) {
	case string:
		return v.fromText(x)
	case int64:
		if x >= 0 && x <= 50 && x%10 == 0 {
			return v.fromText([...]string{"debug", "debug", "info", "warning", "error", "error"}[x/10])
		}
	}
	return v.fromText("")
}

func (v *level) String() string { return *v.to }

// showGiven writes a value of the script as Python would, as far as a line
// of an error message needs it.
func showGiven(x any) string {
	switch x := x.(type) {
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return strconv.FormatFloat(x, 'f', 1, 64)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	case string:
		return shorten(strconv.Quote(x))
	case bool:
		if x {
			return "True"
		}
		return "False"
	case []any:
		items := make([]string, len(x))
		for i := range x {
			items[i] = showGiven(x[i])
		}
		return shorten("[" + strings.Join(items, ", ") + "]")
	case Object:
		return shorten(x.Repr)
	}
	return fmt.Sprint(x)
}

func shorten(s string) string {
	const enough = 60
	if len(s) <= enough {
		return s
	}
	return strings.ToValidUTF8(s[:enough], "") + "..."
}

// ParseSize reads a number of bytes: "500", "64K", "10M", "1.5G", also "10MB"
// and "10MiB". K is 1024.
func ParseSize(s string) (int64, bool) {
	number := strings.ToUpper(strings.TrimSpace(s))
	number = strings.TrimSuffix(number, "B")
	number = strings.TrimSuffix(number, "I")
	if number == "" {
		return 0, false
	}
	factor := 1.0
	switch number[len(number)-1] {
	case 'K':
		factor = 1 << 10
	case 'M':
		factor = 1 << 20
	case 'G':
		factor = 1 << 30
	case 'T':
		factor = 1 << 40
	}
	if factor > 1 {
		number = number[:len(number)-1]
	}
	if !plainNumber(number) || factor == 1 && strings.Contains(number, ".") {
		return 0, false
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*factor > 1<<53 {
		return 0, false
	}
	return int64(f * factor), true
}

// showSize writes a size as short as ParseSize reads it back exactly.
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

// longUnits are units beyond those of time.ParseDuration, in seconds, the longest first.
var longUnits = []struct {
	letter  string
	seconds float64
}{{"y", 365 * 86400}, {"w", 7 * 86400}, {"d", 86400}}

// ParseDuration reads seconds without a unit, or numbers with units, the longest first: y (365 days), w, d, and those of
// time.ParseDuration: "75", "500ms", "1d12h".
func ParseDuration(s string) (d time.Duration, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if plainNumber(s) {
		return times(s, 1)
	}
	for _, u := range longUnits {
		number, rest, found := strings.Cut(s, u.letter)
		if !found {
			continue
		}
		long, ok := times(number, u.seconds)
		if d += long; !ok || d > longestDuration || rest == "" {
			return d, ok && d <= longestDuration
		}
		s = rest
	}
	short, err := time.ParseDuration(s)
	return d + short, err == nil && 0 <= short && short <= longestDuration-d
}

// longestDuration keeps sums from overflowing.
const longestDuration = math.MaxInt64 / 2

// times reads a number of units, which have so many seconds.
func times(number string, unit float64) (time.Duration, bool) {
	f, err := strconv.ParseFloat(number, 64)
	if !plainNumber(number) || err != nil {
		return 0, false
	}
	return seconds(f * unit)
}

// seconds turns a number of seconds into a duration; false if it is negative,
// not a number, or too large.
func seconds(f float64) (time.Duration, bool) {
	ns := f * float64(time.Second)
	if !(ns >= 0 && ns <= longestDuration) {
		return 0, false
	}
	return time.Duration(ns), true
}

// showDuration writes a duration in one unit where that is exact.
func showDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%(24*time.Hour) == 0:
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0 && d != time.Minute: // "60s" reads as well
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return d.String()
}

// plainNumber keeps out other forms that strconv takes: signs, exponents, hexadecimal, "inf" and "_".
func plainNumber(s string) bool {
	digits, dots := 0, 0
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return digits > 0 && dots <= 1
}
