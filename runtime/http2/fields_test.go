package http2

import (
	"strings"
	"testing"
)

// Lines of a head become fields, each time the same; those of a connection are left out, and names that are none.
func TestFields(t *testing.T) {
	s := new(Server)
	long := strings.Repeat("x", maxKnown)
	for range 2 {
		for line, want := range map[string]string{
			"Content-Type: text/html":    "content-type=text/html",
			"X-Empty:":                   "x-empty=",
			"X-Spaces: \t a b \t":        "x-spaces=a b",
			"X-Colon: a:b":               "x-colon=a:b",
			"Set-Cookie: a=b":            "set-cookie=a=b",
			"X-Long: " + long:            "x-long=" + long,
			"Connection: close":          "",
			"Transfer-Encoding: chunked": "",
			"Upgrade: websocket":         "",
			"Keep-Alive: 5":              "",
			":status: 200":               "",
			"X Y: z":                     "",
			"none":                       "none=",
		} {
			f := s.fieldOf([]byte(line))
			got := f.field.Name + "=" + f.field.Value
			if f.none {
				got = ""
			}
			if got != want || f.field.Sensitive != strings.HasPrefix(want, "set-cookie") {
				t.Errorf("%.50q: %.50q, want %.50q", line, got, want)
			}
		}
	}
}
