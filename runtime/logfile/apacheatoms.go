package logfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/system"
)

// apacheAtom returns the atom of a letter and the argument in braces before it
// (https://httpd.apache.org/docs/2.4/mod/mod_log_config.html).
func (f *Format) apacheAtom(letter byte, argument string, has bool) (atom, error) {
	if has {
		switch letter {
		case 'i', 'o', 'e':
			return f.field(argument, letter)
		case 'C':
			return f.cookie(argument), nil
		case 't':
			return timeAtom(argument)
		}
		if a := withArgument[string(letter)+argument]; a != nil {
			return a, nil
		}
		return nil, fmt.Errorf("is not an atom")
	}
	switch letter {
	case 'V':
		return f.hostOf(), nil
	case 'p':
		return plain((*Entry).port), nil
	}
	if a := apacheAtoms[letter]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("is not an atom")
}

// bracketed is how gunicorn writes pid.
var bracketed = "<" + pid + ">"

var apacheAtoms = map[byte]atom{
	'a': plain(func(e *Entry) string { return e.Addr }),
	'A': plain(func(e *Entry) string { return e.LocalAddr }),
	'B': accessNumber(func(e *Entry) int64 { return e.BytesSent }),
	'b': bytesOrDash(func(e *Entry) int64 { return e.BytesSent }),
	'D': accessNumber(micros),
	'f': part(func(e *Entry) []byte { return e.File }),
	'h': plain(func(e *Entry) string { return e.Addr }),
	'H': part((*Entry).version),
	'I': accessNumber(func(e *Entry) int64 { return e.WireIn }),
	'k': accessNumber(func(e *Entry) int64 { return int64(e.Earlier) }),
	'l': plain(func(*Entry) string { return "" }),
	'L': plain(func(*Entry) string { return "" }),
	'm': part((*Entry).method),
	'O': accessNumber(func(e *Entry) int64 { return e.WireOut }),
	'P': plain(func(*Entry) string { return pid }),
	'q': apacheQuery,
	'r': part(func(e *Entry) []byte { return e.RequestLine }),
	'R': plain(func(e *Entry) string { return e.Handler }),
	's': accessNumber(func(e *Entry) int64 { return int64(e.Status) }),
	'S': accessNumber(func(e *Entry) int64 { return e.WireIn + e.WireOut }),
	't': apacheTime,
	'T': accessNumber(func(e *Entry) int64 { return int64(e.Duration / time.Second) }),
	'u': user,
	'U': urlPath,
	'v': plain((*Entry).site),
	'X': plain(func(e *Entry) string {
		switch {
		case e.Aborted:
			return "X"
		case e.KeepAlive:
			return "+"
		}
		return "-"
	}),
}

// withArgument are the atoms with braces, by letter and argument.
var withArgument = map[string]atom{
	"ac":         plain(func(e *Entry) string { return e.PeerAddr }),
	"hc":         plain(func(e *Entry) string { return e.PeerAddr }),
	"pcanonical": plain((*Entry).port),
	"plocal":     plain(func(e *Entry) string { return e.LocalPort }),
	"premote":    plain(func(e *Entry) string { return e.Port }),
	"Ppid":       plain(func(*Entry) string { return pid }),
	"Ptid":       accessNumber(func(*Entry) int64 { return int64(system.ThreadID()) }),
	"Phextid": func(dst []byte, _ *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		return strconv.AppendInt(dst, int64(system.ThreadID()), 16), true
	},
	"Ts":  accessNumber(func(e *Entry) int64 { return int64(e.Duration / time.Second) }),
	"Tms": accessNumber(func(e *Entry) int64 { return e.Duration.Milliseconds() }),
	"Tus": accessNumber(micros),
}

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
		return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
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
	if err := CheckTimeFormat(rest); err != nil {
		return nil, err
	}
	return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		return AppendTime(dst, rest, of(e)), true
	}, nil
}
