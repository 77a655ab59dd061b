package logfile

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxWidth bounds the width of a conversion.
const maxWidth = 100

// layouts are the conversions to text, as time.Time.AppendFormat takes them.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
	'D': "01/02/06", 'F': "2006-01-02", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'z': "-0700", 'Z': "MST", '%': "%", 'n': "\n", 't': "\t",
}

// conversion is one conversion of a format.
type conversion struct {
	letter byte
	flag   byte // '_', '-', '0' or 0
	upper  bool
	width  int // 0: that of the letter
}

// cut returns the text before the first conversion of format, that conversion as it is
// written, its parts, and the text behind it. written is "" if there is none that is whole.
func cut(format string) (before, written string, c conversion, after string) {
	start := strings.IndexByte(format, '%')
	if start < 0 {
		return format, "", c, ""
	}
	n := start + 1
	for ; n < len(format) && strings.IndexByte("_-0^#", format[n]) >= 0; n++ {
		if format[n] == '^' || format[n] == '#' {
			c.upper = true
		} else {
			c.flag = format[n]
		}
	}
	for ; n < len(format) && '0' <= format[n] && format[n] <= '9'; n++ {
		c.width = min(c.width*10+int(format[n]-'0'), maxWidth)
	}
	for n < len(format) && (format[n] == 'E' || format[n] == 'O') {
		n++
	}
	if n == len(format) {
		return format, "", c, ""
	}
	c.letter = format[n]
	return format[:start], format[start : n+1], c, format[n+1:]
}

// AppendTime appends t in format to dst. A conversion that is unknown or incomplete is appended
// as it is written. It allocates nothing if dst has room.
func AppendTime(dst []byte, format string, t time.Time) []byte {
	for format != "" {
		before, written, c, after := cut(format)
		dst, format = append(dst, before...), after
		if layout := layouts[c.letter]; layout != "" {
			dst = c.appendText(dst, layout, t)
		} else if number := numbers[c.letter]; number.digits > 0 {
			dst = c.appendNumber(dst, number.of(t), number.digits)
		} else {
			dst = append(dst, written...)
		}
	}
	return dst
}

// CheckTimeFormat returns an error if format has a conversion that Append does not know. Its text is
// one line that goes on after the name of the format: "has %Q, …".
func CheckTimeFormat(format string) error {
	for format != "" {
		before, written, c, after := cut(format)
		switch {
		case written == "" && strings.HasSuffix(before, "%"):
			return fmt.Errorf(`ends with a lone "%%"`)
		case written == "" && strings.Contains(before, "%"):
			return fmt.Errorf("ends with an incomplete conversion")
		case written != "" && layouts[c.letter] == "" && numbers[c.letter].digits == 0:
			return fmt.Errorf("has %s, which is not a supported strftime conversion", written)
		}
		format = after
	}
	return nil
}

func (c conversion) appendText(dst []byte, layout string, t time.Time) []byte {
	start := len(dst)
	dst = t.AppendFormat(dst, layout)
	if c.upper {
		copy(dst[start:], bytes.ToUpper(dst[start:]))
	}
	pad := byte(' ')
	if c.flag == '0' {
		pad = '0'
	}
	return padLeft(dst, start, c.width, pad)
}

func (c conversion) appendNumber(dst []byte, n int64, digits int) []byte {
	start, pad, width := len(dst), byte('0'), c.width
	if strings.IndexByte("ekl", c.letter) >= 0 {
		pad = ' '
	}
	switch c.flag {
	case '_':
		pad = ' '
	case '0':
		pad = '0'
	}
	if width == 0 && c.flag != '-' {
		width = digits
	}
	return padLeft(strconv.AppendInt(dst, n, 10), start, width, pad)
}

// padLeft makes dst[start:] as long as width.
func padLeft(dst []byte, start, width int, pad byte) []byte {
	for len(dst)-start < width {
		dst = slices.Insert(dst, start, pad)
	}
	return dst
}

// numbers are the conversions to numbers, with their minimum of digits.
var numbers = map[byte]struct {
	digits int
	of     func(time.Time) int64
}{
	'C': {2, whole(func(t time.Time) int { return t.Year() / 100 })},
	'd': {2, whole(time.Time.Day)},
	'e': {2, whole(time.Time.Day)},
	'g': {2, whole(func(t time.Time) int { return isoYear(t) % 100 })},
	'G': {1, whole(isoYear)},
	'H': {2, whole(time.Time.Hour)},
	'k': {2, whole(time.Time.Hour)},
	'I': {2, whole(hour12)},
	'l': {2, whole(hour12)},
	'j': {3, whole(time.Time.YearDay)},
	'm': {2, whole(func(t time.Time) int { return int(t.Month()) })},
	'M': {2, whole(time.Time.Minute)},
	's': {1, time.Time.Unix},
	'S': {2, whole(time.Time.Second)},
	'u': {1, whole(func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 })},
	'U': {2, whole(func(t time.Time) int { return (t.YearDay() + 6 - int(t.Weekday())) / 7 })},
	'V': {2, whole(func(t time.Time) int { _, week := t.ISOWeek(); return week })},
	'w': {1, whole(func(t time.Time) int { return int(t.Weekday()) })},
	'W': {2, whole(func(t time.Time) int { return (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7 })},
	'y': {2, whole(func(t time.Time) int { return t.Year() % 100 })},
	'Y': {1, whole(time.Time.Year)},
}

func isoYear(t time.Time) int {
	year, _ := t.ISOWeek()
	return year
}

func hour12(t time.Time) int { return (t.Hour()+11)%12 + 1 }

func whole(of func(time.Time) int) func(time.Time) int64 {
	return func(t time.Time) int64 { return int64(of(t)) }
}
