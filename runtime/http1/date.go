package http1

import "time"

// DateFormat is IMF-fixdate (RFC 9110 §5.6.7) for time.Time.Format in UTC.
const DateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendDate appends an IMF-fixdate for seconds since 1970, 29 bytes for the
// years 0 to 9999.
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, DateFormat)
}
