package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeAtom is the atom of %{argument}t: sec, msec, usec, msec_frac, usec_frac or a
// format of strftime(3), of the beginning of the request or, with "end:" before it,
// of its end.
func timeAtom(argument string) (atom, error) {
	of := func(e *Entry) time.Time { return e.Time }
	rest, atEnd := strings.CutPrefix(argument, "end:")
	if atEnd {
		of = func(e *Entry) time.Time { return e.Time.Add(e.Duration) }
	} else {
		rest = strings.TrimPrefix(argument, "begin:")
	}
	digits := func(width int, n func(time.Time) int64) atom {
		return func(dst []byte, e *Entry, _ *writer, _ bool) ([]byte, bool) {
			return padded(dst, n(of(e)), width), true
		}
	}
	switch rest {
	case "sec":
		return digits(1, time.Time.Unix), nil
	case "msec":
		return digits(1, time.Time.UnixMilli), nil
	case "usec":
		return digits(1, time.Time.UnixMicro), nil
	case "msec_frac":
		return digits(3, func(t time.Time) int64 { return int64(t.Nanosecond() / 1e6) }), nil
	case "usec_frac":
		return digits(6, func(t time.Time) int64 { return int64(t.Nanosecond() / 1e3) }), nil
	}
	pieces, err := strftime(rest)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, e *Entry, _ *writer, _ bool) ([]byte, bool) {
		t := of(e)
		for _, p := range pieces {
			dst = p(dst, t)
		}
		return dst, true
	}, nil
}

// layouts are conversions of strftime(3) in the C locale, as time.Format has them.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
	'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01",
	'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

type timePiece func(dst []byte, t time.Time) []byte

// strftime compiles a format.
func strftime(format string) (pieces []timePiece, err error) {
	if format == "" {
		return nil, fmt.Errorf("has no format between the braces")
	}
	literal := func(text string) timePiece {
		return func(dst []byte, _ time.Time) []byte { return append(dst, text...) }
	}
	count := func(width int, n func(time.Time) int64) timePiece {
		return func(dst []byte, t time.Time) []byte { return padded(dst, n(t), width) }
	}
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			i = len(format)
		}
		if i > 0 {
			pieces, format = append(pieces, literal(format[:i])), format[i:]
			continue
		}
		if len(format) < 2 {
			return nil, fmt.Errorf(`ends with a lone "%%"`)
		}
		c := format[1]
		format = format[2:]
		if layout := layouts[c]; layout != "" {
			pieces = append(pieces, func(dst []byte, t time.Time) []byte { return t.AppendFormat(dst, layout) })
			continue
		}
		switch c {
		case '%':
			pieces = append(pieces, literal("%"))
		case 'n':
			pieces = append(pieces, literal("\n"))
		case 't':
			pieces = append(pieces, literal("\t"))
		case 's':
			pieces = append(pieces, count(1, time.Time.Unix))
		case 'C':
			pieces = append(pieces, count(2, func(t time.Time) int64 { return int64(t.Year() / 100) }))
		case 'u':
			pieces = append(pieces, count(1, func(t time.Time) int64 { return int64(t.Weekday()+6)%7 + 1 }))
		case 'w':
			pieces = append(pieces, count(1, func(t time.Time) int64 { return int64(t.Weekday()) }))
		case 'V':
			pieces = append(pieces, count(2, func(t time.Time) int64 { _, week := t.ISOWeek(); return int64(week) }))
		case 'G':
			pieces = append(pieces, count(4, func(t time.Time) int64 { year, _ := t.ISOWeek(); return int64(year) }))
		case 'k', 'l':
			pieces = append(pieces, func(dst []byte, t time.Time) []byte {
				hour := t.Hour()
				if c == 'l' {
					hour = (hour+11)%12 + 1
				}
				if hour < 10 {
					dst = append(dst, ' ')
				}
				return strconv.AppendInt(dst, int64(hour), 10)
			})
		default:
			return nil, fmt.Errorf("has %%%c, which is no conversion of strftime here", c)
		}
	}
	return pieces, nil
}
