package static

import "time"

// imfFixdate is the one date format that HTTP sends (RFC 9110 §5.6.7).
const imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"

// parseDate reads the three date formats that HTTP accepts (RFC 9110 §5.6.7)
// and returns seconds since 1970.
func parseDate(value []byte) (unix int64, ok bool) {
	for _, layout := range [...]string{imfFixdate, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
