package http1

import (
	"bytes"
	"strings"
	"time"
)

// DateFormat is IMF-fixdate (RFC 9110 §5.6.7) for time.Time.Format in UTC.
const DateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendDate appends an IMF-fixdate for seconds since 1970, 29 bytes for the
// years 0 to 9999.
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, DateFormat)
}

// dateFormat is a format of dates: as the time package has it, and with 0 for a digit, A for a letter and _ for a digit
// or a space.
type dateFormat struct{ layout, mask string }

var (
	fixdate = dateFormat{DateFormat, "AAA, 00 AAA 0000 00:00:00 GMT"}
	rfc850  = dateFormat{"02-Jan-06 15:04:05 GMT", "00-AAA-00 00:00:00 GMT"} // behind "Sunday, "
	asctime = dateFormat{time.ANSIC, "AAA AAA _0 00:00:00 0000"}
)

// ParseDate reads the three date formats that HTTP accepts (RFC 9110 §5.6.7) and returns seconds since 1970. Digits
// and separators have to be exactly those of the formats; the case of letters does not count.
func ParseDate(value []byte) (unix int64, ok bool) {
	f := &fixdate
	if day, rest, found := bytes.Cut(value, []byte(", ")); !found {
		f = &asctime
	} else if isWeekday(day) {
		f, value = &rfc850, rest
	}
	if !f.fits(value) {
		return 0, false
	}
	text := string(value)
	if f != &asctime {
		text = text[:len(text)-3] + "GMT"
	}
	t, err := time.Parse(f.layout, text)
	return t.Unix(), err == nil
}

func isWeekday(name []byte) bool {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(day.String(), string(name)) {
			return true
		}
	}
	return false
}

// fits reports whether value has the form of f.
func (f *dateFormat) fits(value []byte) bool {
	if len(value) != len(f.mask) {
		return false
	}
	for i, b := range value {
		digit, letter := '0' <= b && b <= '9', 'a' <= b|0x20 && b|0x20 <= 'z'
		ok := false
		switch m := f.mask[i]; m {
		case '0':
			ok = digit
		case '_':
			ok = digit || b == ' '
		case 'A':
			ok = letter
		default:
			ok = b == m || letter && b&^0x20 == m
		}
		if !ok {
			return false
		}
	}
	return true
}
