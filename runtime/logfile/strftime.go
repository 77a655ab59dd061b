package logfile

import (
	"bytes"
	"fmt"
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
		} else if n, digits := number(c.letter, t); digits > 0 {
			dst = c.appendNumber(dst, n, digits)
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
		_, digits := number(c.letter, time.Time{})
		switch {
		case written == "" && strings.HasSuffix(before, "%"):
			return fmt.Errorf(`ends with a lone "%%"`)
		case written == "" && strings.Contains(before, "%"):
			return fmt.Errorf("ends with an incomplete conversion")
		case written != "" && layouts[c.letter] == "" && digits == 0:
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
	switch {
	case c.flag == '_':
		pad = ' '
	case c.flag == '0':
		pad = '0'
	}
	if width == 0 && c.flag != '-' {
		width = digits
	}
	return padLeft(strconv.AppendInt(dst, n, 10), start, width, pad)
}

// padLeft makes dst[start:] as long as width.
func padLeft(dst []byte, start, width int, pad byte) []byte {
	missing := width - (len(dst) - start)
	for i := 0; i < missing; i++ {
		dst = append(dst, pad)
	}
	if missing > 0 {
		copy(dst[start+missing:], dst[start:])
		for i := range missing {
			dst[start+i] = pad
		}
	}
	return dst
}

// number returns the value of a conversion to a number and its minimum of digits, 0 for
// letters that are no such conversion.
func number(letter byte, t time.Time) (n int64, digits int) {
	value := 0
	switch letter {
	case 'C':
		value, digits = t.Year()/100, 2
	case 'd', 'e':
		value, digits = t.Day(), 2
	case 'g':
		year, _ := t.ISOWeek()
		value, digits = year%100, 2
	case 'G':
		value, _ = t.ISOWeek()
		digits = 1
	case 'H', 'k':
		value, digits = t.Hour(), 2
	case 'I', 'l':
		value, digits = (t.Hour()+11)%12+1, 2
	case 'j':
		value, digits = t.YearDay(), 3
	case 'm':
		value, digits = int(t.Month()), 2
	case 'M':
		value, digits = t.Minute(), 2
	case 's':
		return t.Unix(), 1
	case 'S':
		value, digits = t.Second(), 2
	case 'u':
		value, digits = (int(t.Weekday())+6)%7+1, 1
	case 'U':
		value, digits = (t.YearDay()+6-int(t.Weekday()))/7, 2
	case 'V':
		_, value = t.ISOWeek()
		digits = 2
	case 'w':
		value, digits = int(t.Weekday()), 1
	case 'W':
		value, digits = (t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2
	case 'y':
		value, digits = t.Year()%100, 2
	case 'Y':
		value, digits = t.Year(), 1
	}
	return int64(value), digits
}
