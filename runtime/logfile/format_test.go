package logfile

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

var at = time.Date(2024, 1, 7, 5, 4, 9, 0, time.FixedZone("CET", 3600))

func TestTimesAreFormattedLikeStrftime(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%A, %d-%b-%Y %H:%M:%S %Z", "Sunday, 07-Jan-2024 05:04:09 CET"},
		{"%e|%k|%l|%P|%s|%c", " 7| 5| 5|am|1704600249|Sun Jan  7 05:04:09 2024"},
		{"%-d %_d %05d %^a %Ey %Om", "7  7 00007 SUN 24 01"},
		{"%Q %", "%Q %"},
		{"%-", "%-"},
	} {
		checktest.Equalf(t, string(AppendTime([]byte("> "), c.format, at)), "> "+c.want, "%s: %q", c.format, c.want)
	}
}

func TestInvalidTimeFormatsAreRejected(t *testing.T) {
	for format, want := range map[string]string{
		"%F %-d %%": "",
		"%Q":        "has %Q, which is not a supported strftime conversion",
		"a %_5q":    "has %_5q, which is not a supported strftime conversion",
		"%F %":      `ends with a lone "%"`,
		"%F %-5":    "ends with an incomplete conversion",
	} {
		got := ""
		if err := CheckTimeFormat(format); err != nil {
			got = err.Error()
		}
		checktest.Equalf(t, got, want, "%s", format)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("%F %T%n%-d%100a")
	f.Fuzz(func(t *testing.T, format string) {
		got := AppendTime(nil, format, at)
		checktest.Needf(t, len(got) <= 1024*(len(format)+1), "%q: %d bytes", format, len(got))
		_ = CheckTimeFormat(format)
	})
}

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
