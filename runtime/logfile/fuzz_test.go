package logfile

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// FuzzParse checks that each format is rejected with an error of one line, or never lets a request add a line end or a
// NUL to the log.
func FuzzParse(f *testing.F) {
	for _, format := range []string{"combined", "json", "%h %(a)s", "%!200,304{Referer}i", "%{%F %T}t%{usec_frac}t",
		`\n%%`, "%{a}C%V%U%q%(u)s", "%{%0n}t"} {
		f.Add(format, "GET /%00?\n HTTP/1.1", "\"\\\n\x00\xff")
	}
	f.Fuzz(func(t *testing.T, format, request, value string) {
		p, err := ParseFormat(format)
		if err != nil {
			checktest.Truef(t, !strings.Contains(err.Error(), "\n") || strings.Contains(format, "\n"), "%q", err)
			return
		}
		entry := func(request, value string) []byte {
			var e Entry
			e.Begin(p)
			e.Time, e.User = noon, value
			e.RequestLine = append(e.RequestLine, request...)
			for i := range e.Request {
				e.Request[i].Add([]byte(value))
			}
			return p.appendLine(nil, &e)
		}
		plain, line := entry("GET / HTTP/1.1", "plain"), entry(request, value)
		for _, c := range []string{"\n", "\x00"} {
			got, want := bytes.Count(line, []byte(c)), bytes.Count(plain, []byte(c))
			checktest.Equalf(t, got, want, "%q gives %q: number of %q", format, line, c)
		}
		checktest.Truef(t, format != "json" || json.Valid(line), "%q", line)
	})
}
