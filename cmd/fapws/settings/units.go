package settings

import (
	"math"
	"strconv"
	"strings"
	"time"
)

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
