package ssi

import (
	"fmt"
	"strings"
	"time"
)

// maxTime bounds what a format makes of a time, in bytes.
const maxTime = 8192

// formatTime is C's strftime in the POSIX locale, with the extensions of
// glibc: %k %l %P %s, the flags _ - 0 ^ # and a width, E and O ignored.
func formatTime(format string, t time.Time) string {
	var b strings.Builder
	for b.Len() < maxTime {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			break
		}
		b.WriteString(format[:i])
		format = format[i:]
		n := 1
		var flag byte
		upper := false
		for n < len(format) && strings.IndexByte("_-0^#", format[n]) >= 0 {
			if format[n] == '^' || format[n] == '#' {
				upper = true
			} else {
				flag = format[n]
			}
			n++
		}
		width := 0
		for n < len(format) && isDigit(format[n]) && width < 100 {
			width = width*10 + int(format[n]-'0')
			n++
		}
		for n < len(format) && (format[n] == 'E' || format[n] == 'O') {
			n++
		}
		if n == len(format) {
			break
		}
		text, number, digits := conversion(format[n], t)
		pad := byte(' ')
		switch {
		case digits > 0:
			if pad = '0'; digits == 2 && strings.IndexByte("ekl", format[n]) >= 0 {
				pad = ' '
			}
			if flag == '_' {
				pad = ' '
			} else if flag == '0' {
				pad = '0'
			}
			text = fmt.Sprint(number)
			if width == 0 && flag != '-' {
				width = digits
			}
		case text == "" && !strings.ContainsRune("pP", rune(format[n])):
			text = format[:n+1] // unknown: as it is
		case flag == '0':
			pad = '0'
		}
		for k := len(text); k < width; k++ {
			b.WriteByte(pad)
		}
		if upper {
			text = strings.ToUpper(text)
		}
		b.WriteString(text)
		format = format[n+1:]
	}
	b.WriteString(format)
	s := b.String()
	return s[:min(len(s), maxTime)]
}

// conversion returns what a letter of a format stands for: a text, or a number
// with the digits that it has at least.
func conversion(c byte, t time.Time) (text string, number, digits int) {
	hour12 := (t.Hour()+11)%12 + 1
	isoYear, isoWeek := t.ISOWeek()
	switch c {
	case 'a':
		return t.Weekday().String()[:3], 0, 0
	case 'A':
		return t.Weekday().String(), 0, 0
	case 'b', 'h':
		return t.Month().String()[:3], 0, 0
	case 'B':
		return t.Month().String(), 0, 0
	case 'c':
		return t.Format("Mon Jan _2 15:04:05 2006"), 0, 0
	case 'C':
		return "", t.Year() / 100, 2
	case 'd', 'e':
		return "", t.Day(), 2
	case 'D', 'x':
		return t.Format("01/02/06"), 0, 0
	case 'F':
		return t.Format("2006-01-02"), 0, 0
	case 'g':
		return "", isoYear % 100, 2
	case 'G':
		return "", isoYear, 1
	case 'H', 'k':
		return "", t.Hour(), 2
	case 'I', 'l':
		return "", hour12, 2
	case 'j':
		return "", t.YearDay(), 3
	case 'm':
		return "", int(t.Month()), 2
	case 'M':
		return "", t.Minute(), 2
	case 'n':
		return "\n", 0, 0
	case 'p':
		return t.Format("PM"), 0, 0
	case 'P':
		return t.Format("pm"), 0, 0
	case 'r':
		return t.Format("03:04:05 PM"), 0, 0
	case 'R':
		return t.Format("15:04"), 0, 0
	case 's':
		return fmt.Sprint(t.Unix()), 0, 0
	case 'S':
		return "", t.Second(), 2
	case 't':
		return "\t", 0, 0
	case 'T', 'X':
		return t.Format("15:04:05"), 0, 0
	case 'u':
		return "", (int(t.Weekday())+6)%7 + 1, 1
	case 'U':
		return "", (t.YearDay() + 6 - int(t.Weekday())) / 7, 2
	case 'V':
		return "", isoWeek, 2
	case 'w':
		return "", int(t.Weekday()), 1
	case 'W':
		return "", (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7, 2
	case 'y':
		return "", t.Year() % 100, 2
	case 'Y':
		return "", t.Year(), 1
	case 'z':
		return t.Format("-0700"), 0, 0
	case 'Z':
		return t.Format("MST"), 0, 0
	case '%':
		return "%", 0, 0
	}
	return "", 0, 0
}

// formatSize is a number of bytes in four characters: "973 ", " 12K", "1.5M".
func formatSize(size int64) string {
	if size < 973 {
		return fmt.Sprintf("%3d ", size)
	}
	for _, unit := range "KMGTPE" {
		rest := size & 1023
		size >>= 10
		if size >= 973 {
			continue
		}
		if size < 9 || size == 9 && rest < 973 {
			if rest = (rest*5 + 256) / 512; rest >= 10 {
				size, rest = size+1, 0
			}
			return fmt.Sprintf("%d.%d%c", size, rest, unit)
		}
		if rest >= 512 {
			size++
		}
		return fmt.Sprintf("%3d%c", size, unit)
	}
	return "****"
}

// groupDigits is a number with a comma between thousands.
func groupDigits(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
