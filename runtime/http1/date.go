package http1

import "time"

// DateFormat is IMF-fixdate (RFC 9110 §5.6.7) for time.Time.Format in UTC.
const DateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendDate appends an IMF-fixdate for seconds since 1970, 29 bytes for the
// years 0 to 9999.
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, DateFormat)
}

// ParseDate reads the three date formats that HTTP accepts (RFC 9110 §5.6.7)
// and returns seconds since 1970.
func ParseDate(value []byte) (unix int64, ok bool) {
	for _, layout := range [...]string{DateFormat, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
