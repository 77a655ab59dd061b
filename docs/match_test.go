package docs

import (
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// varying replaces the parts of a command's output that differ between runs, such as times.
var varying = []struct {
	pattern *regexp.Regexp
	same    string
}{
	{regexp.MustCompile(`fapws \d+\.\d+\.\d+(\+[0-9a-f]+(\.dirty)?)?`), "fapws VERSION"},
	{regexp.MustCompile(`Python 3\.\d+\.\d+\+?`), "Python VERSION"},
	{regexp.MustCompile(`\bpid \d+`), "pid PID"},
	{regexp.MustCompile(`up to \d+ threads`), "up to N threads"},
	{regexp.MustCompile(`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`), "DATE"},
	{regexp.MustCompile(`\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}`), "TIME"},
}

func same(line string) string {
	line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " ")
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.same)
	}
	return line
}

// matches reports whether output equals the output on a page. There, a line "…" stands for any lines, and "…" within a
// line for any text.
func matches(shown, output []string) bool {
	if len(shown) == 0 {
		return len(output) == 0
	}
	if shown[0] == "…" {
		for skip := 0; skip <= len(output); skip++ {
			if matches(shown[1:], output[skip:]) {
				return true
			}
		}
		return false
	}
	return len(output) > 0 && matchesLine(shown[0], output[0]) && matches(shown[1:], output[1:])
}

func matchesLine(shown, line string) bool {
	parts := strings.Split(same(shown), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(same(line))
}

func TestOutputMatchesAPageExceptForVaryingParts(t *testing.T) {
	for _, c := range []struct {
		shown, output string
		want          bool
	}{
		{"a\nb", "a\nb", true},
		{"a", "a\nb", false},
		{"a\n…", "a\nb\nc", true},
		{"…\nc", "a\nb\nc", true},
		{"a … c", "a b c", true},
		{"a.c", "abc", false},
		{"fapws 0.1.0, Python 3.11.2, up to 8 threads, pid 1234",
			"fapws 0.1.0+abcdef1, Python 3.13.5, up to 2 threads, pid 7", true},
		{"Date: Fri, 20 Nov 2026 10:08:01 GMT", "Date: Sat, 21 Nov 2026 10:08:01 GMT\r", true},
		{"Date: Fri, 20 Nov 2026 10:08:01 GMT", "Date: now", false},
	} {
		checktest.Equalf(t, matches(strings.Split(c.shown, "\n"), strings.Split(c.output, "\n")), c.want,
			"%q shown, %q written", c.shown, c.output)
	}
}
