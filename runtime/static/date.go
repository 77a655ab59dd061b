package static

import (
	"time"

	"fapws/runtime/http1"
)

// parseDate reads the three date formats that HTTP accepts (RFC 9110 §5.6.7)
// and returns seconds since 1970.
func parseDate(value []byte) (unix int64, ok bool) {
	for _, layout := range [...]string{http1.DateFormat, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return t.Unix(), true
		}
	}
	return 0, false
}
