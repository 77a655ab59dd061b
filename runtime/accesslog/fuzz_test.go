package accesslog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzParse: any format is refused in one line, or gives lines in which nothing that a
// client sent ends the line.
func FuzzParse(f *testing.F) {
	for _, format := range []string{"combined", "json", "%h %(a)s", "%!200,304{Referer}i", "%{%F %T}t%{usec_frac}t", `\n%%`, "%{a}C%V%U%q%(u)s"} {
		f.Add(format, "GET /%00?\n HTTP/1.1", "\"\\\n\x00\xff")
	}
	f.Fuzz(func(t *testing.T, format, request, value string) {
		p, err := Parse(format)
		if err != nil {
			if strings.Contains(err.Error(), "\n") && !strings.Contains(format, "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		var e Entry
		e.Begin(p)
		e.Time, e.User = noon, value
		e.RequestLine = append(e.RequestLine, request...)
		for i := range e.Request {
			e.Request[i].Add([]byte(value))
		}
		line := p.appendLine(nil, &e, &writer{})
		if !strings.ContainsAny(format, "\n\x00") && !strings.Contains(format, `\n`) && !strings.Contains(format, "%n") &&
			(bytes.Count(line, []byte("\n")) != 1 || bytes.IndexByte(line, 0) >= 0) {
			t.Errorf("%q gives %q", format, line)
		}
		if format == "json" && !json.Valid(line) {
			t.Errorf("%q", line)
		}
	})
}
