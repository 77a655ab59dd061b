package accesslog

import (
	"errors"
	"strings"
	"time"

	"fapws/runtime/strftime"
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
	if rest == "" {
		return nil, errors.New("has no format between the braces")
	}
	if err := strftime.Check(rest); err != nil {
		return nil, err
	}
	return func(dst []byte, e *Entry, _ *writer, _ bool) ([]byte, bool) {
		return strftime.Append(dst, rest, of(e)), true
	}, nil
}
