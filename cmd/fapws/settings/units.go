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

// ParseDuration reads seconds without a unit, or any text for time.ParseDuration.
func ParseDuration(s string) (time.Duration, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if plainNumber(s) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, false
		}
		return seconds(f)
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// seconds turns a number of seconds into a duration; false if it is negative,
// not a number, or too large.
func seconds(f float64) (time.Duration, bool) {
	ns := f * float64(time.Second)
	if !(ns >= 0 && ns <= math.MaxInt64/2) {
		return 0, false
	}
	return time.Duration(ns), true
}

// showDuration writes a duration in one unit where that is exact.
func showDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
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
