package results

import (
	"fmt"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// number formats f with three significant digits, the precision of a measurement, and commas between thousands.
func number(f float64) string {
	if f < 100 {
		return strconv.FormatFloat(round(f), 'f', -1, 64)
	}
	s := strconv.FormatFloat(round(f), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func numberOrDash(f float64) string {
	if f == 0 {
		return "–"
	}
	return number(f)
}

func round(f float64) float64 {
	if f == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(f))))
	return math.Round(f*scale) / scale
}

func duration(seconds float64) string {
	switch {
	case seconds == 0:
		return "–"
	case round(seconds) < 1e-3:
		return number(seconds*1e6) + " µs"
	case round(seconds) < 1:
		return number(seconds*1e3) + " ms"
	}
	return number(seconds) + " s"
}

func megabytes(bytes float64) string {
	if bytes == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MB", bytes/1e6)
}

func kibibytes(bytes float64) string { return fmt.Sprintf("%.1f KiB", bytes/1024) }

func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}
