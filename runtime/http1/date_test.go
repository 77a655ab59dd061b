package http1

import (
	"net/http"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestDatesOfAllFormatsAreParsed(t *testing.T) {
	const want = 784111777 // the example in RFC 9110 §5.6.7, in seconds since 1970
	for _, text := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "sun, 06 NOV 1994 08:49:37 gMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"SUNDAY, 06-nov-94 08:49:37 gmt",
		"Sun Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994",
	} {
		got, ok := ParseDate([]byte(text))
		checktest.Truef(t, ok && got == want, "%q: %d %v", text, got, ok)
	}
	for _, text := range []string{
		"", "0", "-1", "Sun, 06 Nov 1994", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06  Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08.49.37 GMT",
		"Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sunday, 06-Nov-94 08:49:37 CET",
		"Someday, 06-Nov-94 08:49:37 GMT", "06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 1994 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
	} {
		got, ok := ParseDate([]byte(text))
		checktest.Truef(t, !ok, "%q: %d", text, got)
	}
	for unix := int64(0); unix < 1<<33; unix += 123_456_789 {
		text, at := AppendDate(nil, unix), time.Unix(unix, 0).UTC()
		if got, ok := ParseDate(text); !ok || got != unix || string(text) != at.Format(http.TimeFormat) {
			t.Errorf("%s: %d %v, want %d", text, got, ok, unix)
		}
		got, ok := ParseDate([]byte(at.Format(time.ANSIC)))
		checktest.Truef(t, ok && got == unix, "%s as of asctime: %d %v", text, got, ok)
	}
}
